"""Files in which nothing can be heard: known to the library, and no copy, hit or recording of anything."""

import numpy as np
import pytest

from echoic import AudioError, Library, NotAudioError, Note, align, embed
from echoic.audio.decode import read_audio
from echoic.audio.encode import write_audio
from tests.integration.conftest import RATE, write_clip
from tests.integration.contents import contents

ENCODERS = ["sound", "fingerprint", "harmony", "spectral"]


def faint(seconds, rate=RATE, seed=0, level=3e-5):
    return np.random.default_rng(seed).normal(0, level, round(seconds * rate)).astype(np.float32)


def settling(seconds, rate):
    """An offset that a recorder needs a while to find."""
    time = np.arange(round(seconds * rate)) / rate
    return (0.2 - 0.1 * np.exp(-time / 2)).astype(np.float32)


def low(seconds, frequency, rate=44_100):
    """What swings too slowly to be heard, over an offset."""
    swing = 0.4 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)
    return (0.1 + swing).astype(np.float32)


# Name: samples and sample rate.
NOTE = Note("silence", "no sound in it")
SILENT = {
    "zeros.wav": (np.zeros(3 * RATE, np.float32), RATE),
    "zeros.flac": (np.zeros((7 * 44_100, 2), np.float32), 44_100),
    "zeros.mp3": (np.zeros((6 * 44_100, 2), np.float32), 44_100),
    "zeros.ogg": (np.zeros(2 * 48_000, np.float32), 48_000),
    "dither.wav": (faint(8), RATE),
    "offset.wav": (faint(12) + np.float32(0.1), RATE),
    "offset.flac": (faint(9, 44_100) - np.float32(0.4), 44_100),
    "settling.wav": (settling(6, 44_100), 44_100),
    "low.wav": (low(6, 12), 44_100),
    "lower.flac": (low(6, 5), 48_000),
    "one_sample.wav": (np.full(1, 0.5, np.float32), 48_000),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("silence")
    for name, (samples, rate) in SILENT.items():
        write_audio(root / name, samples, rate)
    write_clip(root / "heard.wav", 1, 6)
    return root


@pytest.fixture(scope="module")
def library(folder, worker, tmp_path_factory):
    with Library(tmp_path_factory.mktemp("library")) as opened:
        opened._opening._pool = (1, worker)
        report = opened.index([folder], encoders=ENCODERS, jobs=1)
        assert (report.added, report.failed, report.partial) == (len(SILENT) + 1, (), ())
        assert {(path.rpartition("/")[2], note) for path, note in report.notes} == {
            (name, NOTE) for name in SILENT
        }
        yield opened


def test_they_are_listed_with_a_note_and_without_a_vector(library):
    for record in library.files():
        name = record.path.rpartition("/")[2]
        assert record.state == "indexed"
        assert record.notes == ((NOTE,) if name in SILENT else ())
        assert len(record.encoders) == len(ENCODERS)
        vectors = contents(library)[record.path].vectors
        assert all(len(v) == 0 for v in vectors.values()) == (name in SILENT)
    assert library.check() == []


def test_they_are_not_read_anew(library, folder):
    report = library.index([folder], jobs=1)
    assert report.unchanged == len(SILENT) + 1
    assert report.notes == ()


def test_nothing_finds_them(library, folder):
    assert library.duplicates() == []
    assert library.search(folder / "heard.wav", 100) == []
    assert library.versions(folder / "heard.wav", 100) == []


@pytest.mark.parametrize("name", SILENT)
def test_they_find_nothing_and_it_is_said(library, folder, name):
    told = []
    library._noted = lambda path, note: told.append((path, note))
    assert library.identify(folder / name) == []
    assert told == [(str(folder / name), NOTE)]
    for search in (library.search, library.versions):
        with pytest.raises(NotAudioError, match=f"{name} is nothing to search by: no sound in it"):
            search(folder / name)
    with pytest.raises(AudioError, match="no sound in it"):
        library.search(folder / "heard.wav", unlike=[folder / name])
    segments, failed = embed([folder / name], encoder="spectral", jobs=1)
    assert segments == {}
    assert list(failed.values()) == [f"{folder / name} has no vector: no sound in it"]


def test_an_offset_that_jumps_or_clicks_has_no_window_but_where_it_does(tmp_path):
    jumping = np.full(20 * 44_100, 0.3, np.float32)
    jumping[10 * 44_100 :] = -0.2
    write_audio(tmp_path / "jumps.wav", jumping, 44_100)
    clicking = np.full(20 * 44_100, 0.3, np.float32)
    clicking[10 * 44_100 :: 44_100 * 20] = 0.5
    write_audio(tmp_path / "clicks.wav", clicking, 44_100)
    for encoder in ENCODERS:
        segments, failed = embed([tmp_path / "jumps.wav", tmp_path / "clicks.wav"], encoder=encoder, jobs=1)
        assert failed == {}
        for found in segments.values():
            assert len(found.vectors)
            assert ((found.starts <= 10.15) & (found.ends >= 9.85)).all()


def test_a_silent_part_of_a_file_is_told_from_the_whole(library, tmp_path):
    clip = np.concatenate([np.zeros(4 * RATE), 0.2 * np.sin(np.arange(4 * RATE))]).astype(np.float32)
    write_audio(tmp_path / "half.wav", clip, RATE)
    with pytest.raises(NotAudioError, match="no sound in this part"):
        library.search(tmp_path / "half.wav", start=1, end=3)
    assert library.search(tmp_path / "half.wav", start=5, end=7)


def test_a_file_that_becomes_silent_loses_its_vectors_and_one_that_sounds_again_gets_some(worker, tmp_path):
    clip = write_clip(tmp_path / "clips" / "a.wav", 3, 2)
    with Library(tmp_path / "library") as library:
        library._opening._pool = (1, worker)
        library.index([clip], encoders=["spectral"], jobs=1)
        write_audio(clip, np.zeros(3 * RATE, np.float32), RATE)
        assert library.index([clip], jobs=1).changed == 1
        assert len(contents(library)[str(clip)].vectors["spectral@1"]) == 0
        assert library.check() == []
        write_clip(clip, 4, 2)
        assert library.index([clip], jobs=1).changed == 1
        assert len(contents(library)[str(clip)].vectors["spectral@1"]) == 1
        assert library.files()[0].notes == ()


@pytest.mark.parametrize("n", [1, 2, 3, 10, 99])
def test_clips_of_a_few_samples_do_no_harm(library, tmp_path, n):
    clip = tmp_path / f"{n}.wav"
    write_audio(clip, (0.1 * np.sin(0.3 * np.arange(1, n + 1))).astype(np.float32), 16_000)
    assert library.identify(clip) == []
    for encoder in ENCODERS:
        segments, failed = embed([clip], encoder=encoder, jobs=1)
        assert len(segments) + len(failed) == 1
        for found in segments.values():
            np.testing.assert_allclose(np.linalg.norm(found.vectors, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("n", [100, 368, 1_000, 7_800, 15_600])
def test_from_100_samples_on_they_have_a_vector(library, tmp_path, encoder, n):
    clip = tmp_path / "short.wav"
    write_audio(clip, (0.1 * np.sin(0.3 * np.arange(n))).astype(np.float32), 16_000)
    segments, failed = embed([clip], encoder=encoder, jobs=1)
    assert failed == {}
    (found,) = segments.values()
    np.testing.assert_allclose(np.linalg.norm(found.vectors, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("name", [name for name in SILENT if name != "one_sample.wav"])
def test_align_says_which_is_silent(folder, name):
    with pytest.raises(AudioError, match=rf"{name} is (silent|0\.)"):
        align(folder / "heard.wav", folder / name)


def test_align_with_next_to_nothing(folder):
    with pytest.raises(AudioError, match="one_sample"):
        align(folder / "one_sample.wav", folder / "heard.wav")


def test_the_commands_say_so_in_a_sentence(echoic, folder):
    listed = echoic("index", folder, "--jobs", 1, "--encoder", "spectral")
    assert listed.stderr.count("note: ") == 1
    assert f"no sound in it ({len(SILENT) - 1} more such: echoic list names them)" in listed.stderr
    assert echoic("list").stdout.count("[silence] no sound in it") == len(SILENT)
    searched = echoic("search", folder / "zeros.mp3", code=1)
    assert searched.stdout == ""
    assert searched.stderr.count("\n") == 1
    assert "no sound in it" in searched.stderr


def test_the_hum_that_codecs_make_of_an_offset_is_no_sound(worker, tmp_path):
    (tmp_path / "in").mkdir()
    offset = np.full(8 * 44_100, 0.3, np.float32)
    for name in ("a.m4a", "b.ogg", "c.mp3"):
        write_audio(tmp_path / "in" / name, offset, 44_100)
    for seed, name in enumerate(("e.m4a", "f.m4a", "g.ogg", "h.ogg")):
        music = write_clip(tmp_path / "clip.wav", seed, 6)
        heard = read_audio(music, 44_100)[0]
        write_audio(tmp_path / "in" / name, np.concatenate([0.5 * heard + 0.3, offset]), 44_100)
    with Library(tmp_path / "library") as library:
        library._opening._pool = (1, worker)
        library.index([tmp_path / "in"], encoders=["fingerprint"], jobs=1)
        vectors = {path.rpartition("/")[2]: found.vectors for path, found in contents(library).items()}
        silent = {name for name, found in vectors.items() if not any(map(len, found.values()))}
        assert silent == {"a.m4a", "b.ogg", "c.mp3"}
        assert library.duplicates() == []
