"""Playing a part of a file to a person, by whatever program is there for that."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

__all__ = ["Player"]

# In the order in which they are tried, each with what makes it play a file once, and tell errors alone.
_PROGRAMS = {
    "ffplay": ("-nodisp", "-autoexit", "-loglevel", "error"),
    "pw-play": (),
    "paplay": (),
    "aplay": ("-q",),
    "afplay": (),
}
_AROUND = 0.3  # s that are played before and after


class Player:
    """Plays parts of files, if there is a program for it."""

    def __init__(self) -> None:
        found = ((shutil.which(name), options) for name, options in _PROGRAMS.items())
        self._command = next(((path, *options) for path, options in found if path is not None), None)

    @property
    def is_there(self) -> bool:
        """Whether anything can be played here."""
        return self._command is not None

    def play(self, path: Path, start: float, end: float) -> str:
        """Play a part of a file, in seconds, to its end; return why the program did not, else nothing.

        Raises
        ------
        AudioError
            If the file cannot be read.
        """
        from echoic.analysis.excerpts import Excerpt
        from echoic.audio.encode import write_audio

        if self._command is None:
            return "there is no program for it"
        excerpt = Excerpt.read(path, max(0.0, start - _AROUND), end + _AROUND)
        with tempfile.TemporaryDirectory() as folder:
            part = Path(folder) / "part.wav"
            write_audio(part, excerpt.samples, excerpt.sample_rate)
            command = [*self._command, str(part)]
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        said = " ".join(done.stderr.decode("utf-8", "replace").split("\n", 1)[0].split())
        if done.returncode:
            return said or f"{self._command[0]} failed"
        return said if "-autoexit" in command else ""  # without a device, ffplay ends as if it had played
