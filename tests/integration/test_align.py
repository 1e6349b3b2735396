"""Two recordings of one event, laid side by side."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soxr
from typer.testing import CliRunner

from echoic import Library
from echoic.audio.decode import open_audio, read_audio
from echoic.audio.encode import write_audio
from echoic.audio.synthesis import PIECES, make_piece, noise
from echoic.cli import app
from echoic.errors import AudioError, UsageError

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


@pytest.mark.parametrize(("start", "offset"), [(5.5, 5.5), (0.0, -4.25)])
def test_the_shifted_copy_lies_as_the_first_does(write, event, tmp_path, start, offset):
    one = write("one.wav", part(event, max(0.0, -offset), 40))
    drifted = soxr.resample(part(event, start, 58), 1.0005 * RATE, RATE)
    other = tmp_path / "other.flac"
    write_audio(other, np.stack([drifted, 0.5 * drifted], axis=1).astype(np.float32), RATE)
    with Library() as library:
        found = library.align(one, other, write=tmp_path / "shifted.flac")
        assert found.offset == pytest.approx(offset, abs=0.02)
        again = library.align(one, tmp_path / "shifted.flac")
    assert again.offset == pytest.approx(0, abs=0.003)
    assert abs(again.drift_ppm) < 30
    with open_audio(tmp_path / "shifted.flac", mono=False) as stream:
        copy = np.concatenate(list(stream))
    assert copy.shape[1] == 2
    assert np.abs(copy[:, 1] - 0.5 * copy[:, 0]).max() < 1e-3
    known, _ = read_audio(one, RATE)
    here = known[10 * RATE : 12 * RATE]
    likeness = [np.corrcoef(here, copy[10 * RATE + lag :][: len(here), 0])[0, 1] for lag in range(-48, 49)]
    assert max(likeness) > 0.95  # within 3 ms
    assert not list(tmp_path.glob(".*"))


def test_where_a_copy_cannot_be_written(write, event, tmp_path):
    one, other = write("one.wav", part(event, 0, 20)), write("other.wav", part(event, 5, 20))
    before = other.read_bytes()
    with Library() as library:
        with pytest.raises(UsageError, match="would be overwritten"):
            library.align(one, other, write=tmp_path / "." / "other.wav")
        with pytest.raises(UsageError, match="no suffix that can be written"):
            library.align(one, other, write=tmp_path / "copy.txt")
        assert library.align(one, write("hiss.wav", noise(9, RATE)), write=tmp_path / "copy.wav") is None
    assert other.read_bytes() == before
    assert not (tmp_path / "copy.wav").exists()
    result = CliRunner().invoke(app, ["align", str(one), str(other), "--write", str(tmp_path / "copy.wav")])
    assert result.exit_code == 0
    assert "copy.wav: its second 0 is that of" in result.stdout.splitlines()[-1]
    result = CliRunner().invoke(
        app, ["align", str(one), str(other), "--write", str(tmp_path / "no/copy.wav")]
    )
    assert result.exit_code == 2
    assert "no/copy.wav does not exist; make it first" in result.stderr


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
