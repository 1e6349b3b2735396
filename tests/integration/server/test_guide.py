"""What the guide asks a service is answered, word for word."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from echoic.client import Client
from tests.integration.server.test_jobs import until_rest

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "serving.md"
ADDRESS = "http://127.0.0.1:8765"
REFUSED = ("encoder=absent", "txt=rain")


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_what_the_guide_asks_is_answered(serve, place, tmp_path):
    commands = re.findall(r"^\$ (curl .*)\n(\{.*\})?", GUIDE.read_text("utf-8"), re.MULTILINE)
    assert len(commands) >= 12
    shutil.copy(place.sounds / "rain.wav", tmp_path / "door.wav")
    shutil.copy(place.sounds / "pieces" / "drive.mp3", tmp_path / "bar.mp3")
    with serve(folders=(place.sounds,)) as served:
        for command, answer in commands:
            words = shlex.split(command.replace(ADDRESS, served.address))
            done = subprocess.run(words, cwd=tmp_path, capture_output=True, check=True)
            told = json.loads(done.stdout)
            assert ("detail" in told) == any(one in command for one in REFUSED), (command, told)
            assert not answer or json.loads(answer) == told, command
            if "-X POST" in command and "/v1/index" in command:
                until_rest(served)
        code = re.search(r"```python\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)[1]
        found = []
        names = {"print": lambda *told: found.append(told), "Client": Client}
        exec(code.replace(ADDRESS, served.address).replace('"door.wav"', f'"{tmp_path}/door.wav"'), names)
        assert found[0][0] == str(place.sounds / "rain.wav")
