"""Two recordings of one event, laid side by side."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import soxr
from typer.testing import CliRunner

from echoic import align
from echoic.audio.decode import open_audio, read_audio
from echoic.audio.encode import write_audio
from echoic.audio.synthesis import PIECES, make_piece, noise
from echoic.cli import app
from echoic.cli.align import tell
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


@pytest.fixture(scope="module")
def show():
    """Two minutes and more of pieces, none of which comes twice."""
    pieces = [make_piece(name, sample_rate=RATE).mean(axis=1) for name in ("night-drive", *PIECES[3:])]
    return np.concatenate(pieces).astype(np.float32)


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
    found = align(one, other)
    assert found.offset == pytest.approx(offset, abs=0.02)
    assert abs(found.drift_ppm) < 300
    assert found.deviation < 0.02
    assert found.score > 0.5


def test_the_drift_of_a_clock_is_found(write, event):
    drifted = soxr.resample(part(event, 3, 58), 1.0005 * RATE, RATE)  # plays .05 % fast
    found = align(write("one.flac", event), write("other.flac", drifted))
    assert found.offset == pytest.approx(3, abs=0.02)
    assert found.drift_ppm == pytest.approx(500, abs=100)


def test_what_has_nothing_in_common(write, event):
    one, other = write("one.wav", part(event, 0, 20)), write("other.wav", noise(20, RATE, 3))
    silent = write("silent.wav", 1e-5 * noise(5, RATE, 3))
    assert align(one, other) is None
    for pair in ((one, silent), (silent, one), (silent, silent)):
        with pytest.raises(AudioError, match=r"silent.wav is silent: nothing in it can be laid"):
            align(*pair)
    result = CliRunner().invoke(app, ["align", str(one), str(other)])
    assert (result.exit_code, result.stdout) == (1, "")
    assert "nothing in common" in result.stderr


@pytest.mark.parametrize(("start", "offset"), [(5.5, 5.5), (0.0, -4.25)])
def test_the_shifted_copy_lies_as_the_first_does(write, event, tmp_path, start, offset):
    one = write("one.wav", part(event, max(0.0, -offset), 40))
    drifted = soxr.resample(part(event, start, 58), 1.0005 * RATE, RATE)
    other = tmp_path / "other.flac"
    write_audio(other, np.stack([drifted, 0.5 * drifted], axis=1).astype(np.float32), RATE)
    found = align(one, other, write=tmp_path / "shifted.flac")
    assert found.offset == pytest.approx(offset, abs=0.02)
    again = align(one, tmp_path / "shifted.flac")
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
    with pytest.raises(UsageError, match="would be overwritten"):
        align(one, other, write=tmp_path / "." / "other.wav")
    with pytest.raises(UsageError, match="no suffix that can be written"):
        align(one, other, write=tmp_path / "copy.txt")
    assert align(one, write("hiss.wav", noise(9, RATE)), write=tmp_path / "copy.wav") is None
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
    before = (tmp_path / "copy.wav").read_bytes()
    with pytest.raises(UsageError, match=r"copy\.wav is there already"):
        align(one, other, write=tmp_path / "copy.wav")
    assert (tmp_path / "copy.wav").read_bytes() == before
    (tmp_path / "cut.wav").write_bytes(other.read_bytes()[: 12 * 2 * RATE])
    result = CliRunner().invoke(app, ["align", str(one), str(tmp_path / "cut.wav")])
    assert result.exit_code == 0
    assert "cut.wav: the last 3.0 s of 15.0 s could not be decoded" in result.stderr


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
    with pytest.raises(AudioError):
        align(one, tmp_path / "gone.wav")


def fast(samples, ppm):
    return soxr.resample(samples, 1e6 + ppm, 1e6)


def without(samples, start, end):
    return np.concatenate([part(samples, 0, start), samples[round(end * RATE) :]])


def check(found, truth):
    """Compare stretches with what is true: (start, end, offset, drift in ppm) of each."""
    assert len(found.stretches) == len(truth)
    for stretch, (start, end, offset, ppm) in zip(found.stretches, truth, strict=True):
        assert (stretch.start, stretch.end) == pytest.approx((start, end), abs=1)
        for time in (start, (start + end) / 2, end):
            told = stretch.offset + (1 + stretch.drift_ppm / 1e6) * time
            assert abs(told - offset - (1 + ppm / 1e6) * time) <= stretch.deviation
        assert stretch.first_start == pytest.approx(max(0, offset + (1 + ppm / 1e6) * start), abs=1)
    longest = max(found.stretches, key=lambda stretch: stretch.end - stretch.start)
    assert (found.offset, found.drift_ppm, found.deviation) == (
        longest.offset,
        longest.drift_ppm,
        longest.deviation,
    )


def test_a_drift_of_a_thousandth_and_a_speed_up(write, show):
    one = write("one.wav", show)
    seconds = len(show) / RATE
    for ppm in (1_001, 1e6 / 24):
        other = write("other.wav", hissing(fast(part(show, 4, seconds), ppm), 30))
        found = align(one, other)
        check(found, [(0, (seconds - 4) / (1 + ppm / 1e6), 4, ppm)])
        assert found.deviation < 0.005
        assert found.stretches[0].exact


def test_cuts_in_both_and_a_drift_are_several_stretches(write, show, tmp_path):
    seconds = len(show) / RATE
    first = without(show, 100, 107)  # a pause
    second = fast(without(show, 50, 53), 400)  # a cut
    one, other = write("one.wav", first), write("other.wav", second)
    found = align(one, other, write=tmp_path / "copy.wav")
    pace = 1.0004
    truth = [
        (0, 50 / pace, 0, 400),
        (50 / pace, 97 / pace, 3, 400),
        (104 / pace, (seconds - 3) / pace, -4, 400),
    ]
    check(found, truth)
    assert found.second_share == pytest.approx(1 - 7 / (seconds - 3), abs=0.01)
    # The copy lies beside the first throughout: silent where the second was cut, without what is only in it.
    copy, _ = read_audio(tmp_path / "copy.wav", RATE)
    assert len(copy) == pytest.approx(len(first), abs=0.05 * RATE)
    for at in (10, 45, 60, 95, 105, 120):
        here = part(first, at, at + 2)
        lags = [np.corrcoef(here, copy[at * RATE + lag :][: len(here)])[0, 1] for lag in range(-16, 17)]
        assert max(lags) > 0.95  # within a millisecond
    assert np.abs(part(copy, 50.5, 52.5)).max() < 1e-3
    told = CliRunner().invoke(app, ["align", str(one), str(other)]).stdout.splitlines()
    assert "other.wav begins 0.000 s into" in told[0]
    assert "+400 ppm" in told[1]
    assert re.fullmatch(r"from 0:(49\.9|50\.\d) on 3\.00\d s later", told[2])
    assert told[3].startswith("nothing in common from 1:3")
    assert re.fullmatch(r"from 1:4\d\.\d on 7\.00\d s earlier", told[4])
    assert re.fullmatch(
        r"all else from 0:00\.0 to 2:\d\d\.\d of .*other\.wav is in common, within \d ms, probability 1\.00",
        told[5],
    )


def test_small_cuts_are_steps_and_no_drift(write, show):
    lost = [15, 40, 55, 75, 95, 110]
    kept = zip([0, *(at + 0.3 for at in lost)], [*lost, len(show) / RATE], strict=True)
    spans = list(kept)
    other = np.concatenate([part(show, start, end) for start, end in spans])
    found = align(write("one.wav", show), write("other.wav", hissing(other, 40)))
    check(found, [(a - 0.3 * n, b - 0.3 * n, 0.3 * n, 0) for n, (a, b) in enumerate(spans)])
    assert max(stretch.deviation for stretch in found.stretches) < 0.005


def test_what_begins_and_ends_softly_at_another_speed_is_all_in_common(write, show):
    seconds = len(show) / RATE
    soft = show.copy()
    fade = np.geomspace(0.01, 0.1, 8 * RATE)
    for fading in (soft[4 * RATE : 12 * RATE], soft[-8 * RATE :][::-1]):
        fading *= fade
    soft[4 * RATE :][:RATE] = soft[-RATE:] = 0.3 * show[20 * RATE : 21 * RATE]
    for ppm in (1_001, 1e6 / 24, -40_000):
        other = fast(soft[4 * RATE :], ppm)
        other += 0.0005 * noise(len(other) / RATE + 1, RATE, 3)[: len(other)]
        found = align(write("one.wav", soft), write("other.wav", other))
        check(found, [(0, (seconds - 4) / (1 + ppm / 1e6), 4, ppm)])


def test_what_noise_hides_is_no_gap_and_what_was_replaced_is(write, show):
    """Quiet bars drown in the hiss of one recorder; other sound in their place does not."""
    quiet = show.copy()
    quiet[60 * RATE : 75 * RATE] *= 0.01
    quiet[: 4 * RATE] *= 0.01
    seconds = len(show) / RATE
    other = quiet.copy()
    other[60 * RATE : 70 * RATE] = (
        0.3 * make_piece("night-drive", seed=3, sample_rate=RATE).mean(axis=1)[: 10 * RATE]
    )
    clean, noisy = write("clean.wav", quiet), write("noisy.wav", hissing(quiet, 5))
    check(align(clean, noisy), [(0, seconds, 0, 0)])
    check(align(noisy, clean), [(0, seconds, 0, 0)])
    replaced = write("replaced.wav", hissing(other, 5))
    check(align(clean, replaced), [(0, 60, 0, 0), (70, seconds, 0, 0)])
    muted = quiet.copy()
    muted[20 * RATE : 28 * RATE] = 0
    check(align(clean, write("muted.wav", hissing(muted, 5))), [(0, 20, 0, 0), (28, seconds, 0, 0)])


def test_two_shows_that_share_one_piece_have_little_in_common(write, show):
    seconds = len(show) / RATE
    shared = make_piece("music-box-waltz", sample_rate=RATE).mean(axis=1)
    other = [make_piece("night-drive", seed=3, sample_rate=RATE).mean(axis=1), noise(40, RATE, 5) * 0.1]
    one = write("one.flac", np.concatenate([show, shared]))
    two = write("two.m4a", np.concatenate([other[0], shared, other[1]]))
    before, length = len(other[0]) / RATE, len(shared) / RATE
    found = align(one, two)
    check(found, [(before, before + length, seconds - before, 0)])
    assert found.first_share == pytest.approx(length / (seconds + length), abs=0.02)
    assert found.second_share == pytest.approx(length / (before + length + 40), abs=0.02)
    told = CliRunner().invoke(app, ["align", str(one), str(two)])
    assert told.exit_code == 0
    assert "have little in common: only 1" in told.stdout.splitlines()[0]
    assert "begins" not in told.stdout


def test_the_bound_holds_where_waveforms_have_little_in_common(write, event, capsys):
    """The same spectra at the same times; no two waves longer than a tenth of a second are the same."""
    rng = np.random.default_rng(0)
    spectrum = np.fft.rfft(part(event, 0, 60).reshape(-1, 1_600))
    phases = np.exp(2j * np.pi * rng.random(spectrum.shape))
    again = np.fft.irfft(spectrum * phases, 1_600).ravel()
    found = align(write("one.wav", event), write("other.wav", again[5 * RATE :]))
    for stretch in found.stretches:
        for time in (stretch.start, stretch.end):
            off = stretch.offset + (1 + stretch.drift_ppm / 1e6) * time - time - 5
            assert abs(off) <= stretch.deviation
        assert stretch.deviation >= (0.005 if stretch.exact else 0.25)
    coarse = replace(found.stretches[0], exact=False, deviation=0.25)
    tell(replace(found, stretches=(coarse,)))
    assert "within about 250 ms (the waveforms have little in common)" in capsys.readouterr().out


def test_identical_contained_reversed_and_short_ones(write, show):
    one = write("one.wav", part(show, 0, 60))
    check(align(one, one), [(0, 60, 0, 0)])
    excerpt = write("excerpt.ogg", part(show, 20, 24))
    check(align(one, excerpt), [(0, 4, 20, 0)])
    check(align(excerpt, one), [(20, 24, -20, 0)])
    upside_down = write("other.wav", -part(show, 12, 60))  # the microphone's poles changed
    check(align(one, upside_down), [(0, 48, 12, 0)])
    swapped = write("other.wav", np.concatenate([part(show, 30, 60), part(show, 0, 30)]))
    check(align(one, swapped), [(0, 30, 30, 0), (30, 60, -30, 0)])
    with pytest.raises(AudioError, match=r"tiny.wav is 0.100 s long: too short"):
        align(one, write("tiny.wav", part(show, 3, 3.1)))


def test_music_that_repeats_itself_is_laid_once(write, show):
    bars = part(show, 20, 29)
    song = write("song.wav", np.concatenate([part(show, 0, 20), bars, bars, part(show, 50, 70), bars]))
    excerpt = write("excerpt.wav", np.concatenate([part(show, 12, 20), bars, bars[: 3 * RATE]]))
    check(align(excerpt, song), [(12, 32, -12, 0)])
    check(align(song, excerpt), [(0, 20, 12, 0)])
    # One of several places that are the same; never more of the excerpt than there is.
    [stretch] = align(write("bars.wav", bars), song).stretches
    assert min(abs(stretch.start - at) for at in (20, 29, 58)) < 0.1
    assert stretch.end - stretch.start == pytest.approx(9, abs=0.15)


def test_cuts_in_looping_music_are_told_in_order(write, show):
    """Each bar comes again every 4.8 s, and nearly the same: what lies in order explains as much, and all."""
    loop = np.tile(part(show, 20, 24.8), 9)[: 40 * RATE] + 0.15 * part(show, 60, 100)
    cut = np.concatenate([part(loop, at, at + 9) for at in (0, 10, 20, 30)])
    found = align(write("loop.wav", loop), write("cut.wav", cut))
    check(found, [(9 * n, 9 * n + 9, n, 0) for n in range(4)])
    assert all(stretch.exact for stretch in found.stretches)


def test_how_far_it_is_is_told(write, event):
    one, other = write("one.wav", event), write("other.wav", part(event, 5, 30))
    steps = []
    align(one, other, progress=steps.append)
    assert [step.done_bytes for step in steps] == sorted(step.done_bytes for step in steps)
    assert (steps[-1].done, steps[-1].total) == (2, 2)
    assert steps[-1].done_bytes == steps[-1].total_bytes == one.stat().st_size + other.stat().st_size
    assert steps[-1].audio == pytest.approx(len(event) / RATE + 25, abs=0.1)
