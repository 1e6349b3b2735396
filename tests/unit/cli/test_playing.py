"""Parts of files are played, or it is said why not."""

import pytest

from echoic.cli.playing import Player
from tests.integration.conftest import write_clip


@pytest.mark.parametrize(
    ("name", "does", "why_not"),
    [
        ("ffplay", "exit 0", ""),
        ("ffplay", "echo 'SDL_OpenAudio: no  device' >&2; echo more >&2; exit 0", "SDL_OpenAudio: no device"),
        ("aplay", "echo 'rate is not accurate' >&2; exit 0", ""),
        ("aplay", "echo 'no soundcards found' >&2; exit 1", "no soundcards found"),
        ("paplay", "exit 1", "paplay failed"),
        ("mplayer", "exit 0", "there is no program for it"),
    ],
)
def test_what_could_not_be_played_is_told_with_its_reason(name, does, why_not, tmp_path, monkeypatch):
    program = tmp_path / "bin" / name
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{does}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    assert Player().play(write_clip(tmp_path / "a.wav"), 0.1, 0.3).endswith(why_not)
    assert bool(Player().play(tmp_path / "a.wav", 0.1, 0.3)) == bool(why_not)
