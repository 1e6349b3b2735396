"""What the docs say is so."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.golden.make_cli_reference import TARGET, reference

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("recipes/**/*.md")])


def test_the_reference_of_the_command_line_is_up_to_date():
    assert TARGET.read_text("utf-8") == reference(), "run: python -m tests.golden.make_cli_reference"


def test_the_encoder_of_the_docs_keeps_the_contract(tmp_path):
    page = (ROOT / "docs" / "extending.md").read_text("utf-8")
    code = re.search(r"```python\n(.*?)```", page, re.DOTALL)[1]
    [declaration] = re.findall(
        r"```toml\n\[project\.entry-points\.\"echoic\.encoders\"\]\n(.*?)```", page, re.DOTALL
    )
    (tmp_path / "my_package.py").write_text(code, "utf-8")
    information = tmp_path / "my_package-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[echoic.encoders]\n" + declaration.replace('"', ""))
    suite = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/contract/test_encoder.py"]
    done = subprocess.run(
        [*suite, "-k", "bands"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr  # nothing selected is 5
    assert "skipped" not in done.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}, which is not there"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_in_the_docs_exist(page):
    verbs = set(re.findall(r"^## echoic (\w+)", TARGET.read_text("utf-8"), re.MULTILINE))
    text = page.read_text("utf-8")
    used = set(re.findall(r"(?:^\$ |`)echoic (\w+)", text, re.MULTILINE))
    assert used <= verbs
    flags = set(re.findall(r"--[a-z][a-z-]+", TARGET.read_text("utf-8")))
    for command in re.findall(r"(?:^\$ )(echoic .*)$", text, re.MULTILINE):
        assert set(re.findall(r"--[a-z][a-z-]+", command)) <= flags, command
