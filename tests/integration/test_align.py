"""Two recordings of one event, laid side by side."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soxr
from typer.testing import CliRunner

from echoic import Library
from echoic.audio.encode import write_audio
from echoic.audio.synthesis import PIECES, make_piece, noise
from echoic.cli import app
from echoic.errors import AudioError

RATE = 16_000


@pytest.fixture(scope="module")
def event():
    """A minute of two pieces, one after the other."""
    return np.concatenate([make_piece(name, sample_rate=RATE).mean(axis=1) for name in PIECES[2:4]])


@pytest.fixture
def write(tmp_path):
    def written(name, samples):
        write_audio(tmp_path / name, np.asarray(samples, np.float32), RATE)
        return tmp_path / name

    return written


def part(samples, start, end):
    return samples[round(start * RATE) : round(end * RATE)]


def hissing(samples, below_db):
    hiss = noise(len(samples) / RATE + 1, RATE, 7)[: len(samples)]
    return samples + hiss * samples.std() / hiss.std() * 10 ** (-below_db / 20)


@pytest.mark.parametrize(
    ("first", "second", "offset"), [((0, 50), (7.3, 58), 7.3), ((12.125, 59), (2, 40), -10.125)]
)
def test_the_offset_is_found_to_milliseconds(write, event, first, second, offset):
    one = write("one.opus", part(event, *first))
    other = write("other.wav", hissing(part(event, *second), 5))
    with Library() as library:
        found = library.align(one, other)
    assert found.offset == pytest.approx(offset, abs=0.02)
    assert abs(found.drift_ppm) < 300
    assert found.deviation < 0.02
    assert found.score > 0.5


def test_the_drift_of_a_clock_is_found(write, event):
    drifted = soxr.resample(part(event, 3, 58), 1.0005 * RATE, RATE)  # plays .05 % fast
    with Library() as library:
        found = library.align(write("one.flac", event), write("other.flac", drifted))
    assert found.offset == pytest.approx(3, abs=0.02)
    assert found.drift_ppm == pytest.approx(500, abs=100)


def test_what_has_nothing_in_common(write, event):
    one, other = write("one.wav", part(event, 0, 20)), write("other.wav", noise(20, RATE, 3))
    silent = write("silent.wav", np.zeros(5 * RATE))
    with Library() as library:
        assert library.align(one, other) is None
        assert library.align(one, silent) is None
    result = CliRunner().invoke(app, ["align", str(one), str(other)])
    assert (result.exit_code, result.stdout) == (1, "")
    assert "nothing in common" in result.stderr


def test_the_command(write, event, tmp_path):
    one, other = write("one.mp3", part(event, 0, 40)), write("other.m4a", part(event, 5, 45))
    result = CliRunner().invoke(app, ["align", str(one), str(other)])
    assert result.exit_code == 0
    assert "other.m4a begins 5.0" in result.stdout.splitlines()[0]
    fields = json.loads(CliRunner().invoke(app, ["align", str(other), str(one), "--json"]).stdout)
    assert fields["offset"] == pytest.approx(-5, abs=0.05)
    assert "before" in CliRunner().invoke(app, ["align", str(other), str(one)]).stdout
    (tmp_path / "bad.wav").write_text("not audio")
    result = CliRunner().invoke(app, ["align", str(one), str(tmp_path / "bad.wav")])
    assert result.exit_code == 1
    assert "bad.wav" in result.stderr
    with Library() as library, pytest.raises(AudioError):
        library.align(one, tmp_path / "gone.wav")
