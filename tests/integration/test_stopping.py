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


# Says when a module is about to be imported, and waits there; like some that are written in C, it makes of a
# KeyboardInterrupt what it likes.
IMPORTING = """
import sys, time

class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == MODULE:
            print("importing", flush=True)
            try:
                time.sleep(60)
            except KeyboardInterrupt:
                raise ImportError(f"{name} failed") from None

MODULE = sys.argv.pop(1)
sys.meta_path.insert(0, Slow())
from echoic.__main__ import main
main()
"""


@pytest.mark.parametrize("module", ["echoic.cli", "typer", "echoic.types", "numpy", "echoic.cli.encoders"])
def test_ctrl_c_stops_it_while_it_still_starts(module):
    command = [sys.executable, "-c", IMPORTING, module, "encoders"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, preexec_fn=allow, **pipes) as process:
        assert process.stdout.readline() == "importing\n"
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=30)
    assert (process.returncode, told) == (130, "stopped\n")


# From within: when all is done, and the interpreter takes itself down.
ENDING = """
import atexit, os, signal, sys
from echoic.__main__ import main

atexit.register(lambda: os.kill(os.getpid(), signal.SIGINT))
main()
"""


def test_ctrl_c_at_the_very_end_prints_nothing():
    command = [sys.executable, "-c", ENDING, "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=allow)
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")
    assert "Usage" in done.stdout
