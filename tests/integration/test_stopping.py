"""A command that another process stops, or whose terminal is closed, tidies up as it does after Ctrl-C."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

# A verb that is in the middle of writing a file when it is stopped.
COMMAND = """
import os, sys
from pathlib import Path
from echoic import cli
from echoic.files import written_whole

def write(path: Path, number: int) -> None:
    with written_whole(path) as partial:
        partial.write_text("half")
        os.kill(os.getpid(), number)
        for _ in range(10):
            os.getpid()
    print("went on")

cli.app.command("write")(write)
cli.main()
"""


def stopped(folder, number, preexec_fn=None):
    words = [sys.executable, "-c", COMMAND, "write", str(folder / "a.json"), str(int(number))]
    return subprocess.run(words, capture_output=True, text=True, check=False, preexec_fn=preexec_fn)


def allow():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_it_leaves_no_half_written_file_and_the_code_that_shells_know(number, code, tmp_path):
    done = stopped(tmp_path, number, allow)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "stopped\n")
    assert list(tmp_path.iterdir()) == []


def test_a_signal_that_nohup_ignores_stays_ignored(tmp_path):
    done = stopped(tmp_path, signal.SIGHUP, lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    assert (done.returncode, done.stdout, done.stderr) == (0, "went on\n", "")
    assert (tmp_path / "a.json").read_text() == "half"
