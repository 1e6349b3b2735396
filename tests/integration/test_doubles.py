"""Encoders of other kinds than those that are bundled go through index and search as they are."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from echoic import Library, UsageError, embed
from echoic.audio.encode import write_audio
from echoic.audio.synthesis import tone

DOUBLES = Path(__file__).parents[1] / "doubles"
RATE, PITCHES = 16_000, (200, 700, 1_500, 3_000)


@pytest.fixture
def tones(folder, monkeypatch):
    """Four tones; and the package that brings the doubles is installed."""
    monkeypatch.syspath_prepend(DOUBLES)
    monkeypatch.setenv("PYTHONPATH", f"{DOUBLES}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    for pitch in PITCHES:
        write_audio(folder / f"{pitch}.wav", tone(pitch, 2.3, RATE), RATE)
    return folder


@pytest.fixture
def doubled(tones, library):
    library.index([tones], encoders=["raw", "words", "framed"], jobs=1)
    return library


@pytest.mark.parametrize("name", ["raw", "words", "framed"])
def test_what_sounds_alike_is_found(doubled: Library, tones: Path, name: str) -> None:
    query = tones.parent / "query.wav"
    write_audio(query, 0.3 * tone(1_450, 1.7, RATE), RATE)
    hits = doubled.search(query, 4, encoder=name)
    assert Path(hits[0].path).name == "1500.wav"
    assert hits[0].encoder == name
    assert all(0 <= hit.start < hit.end <= 2.3 + 1e-9 for hit in hits)
    assert doubled.check() == []


def test_frames_are_segments_one_after_the_other(doubled: Library, tones: Path) -> None:
    found, failed = embed([tones / "700.wav"], encoder="framed", jobs=1)
    [segments] = found.values()
    assert not failed
    assert len(segments) == 114  # 50 a second, as far as all of their samples are there
    np.testing.assert_allclose(segments.starts, np.arange(114) / 50)
    np.testing.assert_allclose(segments.ends, np.arange(1, 115) / 50)
    assert doubled.status().segments["framed@1"] == 4 * 114
    part = doubled.search(tones / "700.wav", 1, encoder="framed", start=1.0, end=1.5, include_query=True)
    assert part[0].end - part[0].start == pytest.approx(0.02)


def test_words_find_sounds(doubled: Library, tones: Path, echoic) -> None:
    for pitch in PITCHES:
        assert Path(doubled.search(text=str(pitch), k=1)[0].path).name == f"{pitch}.wav"
    # Words beside an example are one more thing to be like.
    near = doubled.search(tones / "200.wav", 4, text="3000", encoder="words", include_query=True)
    assert {Path(hit.path).stem for hit in near[:2]} <= {"200", "700", "1500", "3000"}
    assert near != doubled.search(tones / "200.wav", 4, encoder="words", include_query=True)
    done = echoic("search", "--text", "700", "-k", "1")
    assert "700.wav" in done.stdout


def test_words_without_an_encoder_for_them(doubled: Library, index, tones: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="encoder raw takes no text: words fit the very space"):
        doubled.search(text="700", encoder="raw")
    with pytest.raises(UsageError, match="the words to search by are empty"):
        doubled.search(text=" ")
    with pytest.raises(UsageError, match="are 2,001 characters; use 2,000 at most"):
        doubled.search(text="a" * 2_001)
    with Library(tmp_path / "other") as other:
        other.index([tones], encoders=["raw"], jobs=1)
        with pytest.raises(UsageError, match=r"no encoder of the library .* takes text; add one"):
            other.search(text="700")


def test_words_are_examples_too(doubled: Library, tones: Path, echoic, monkeypatch) -> None:
    def first(**asked: object) -> str:
        return Path(doubled.search(encoder="words", k=1, include_query=True, **asked)[0].path).name

    assert first(like=["text:1500"]) == first(text="1500") == "1500.wav"
    both = doubled.search(tones / "200.wav", 4, like=["text:3000"], encoder="words", include_query=True)
    assert both == doubled.search(tones / "200.wav", 4, text="3000", encoder="words", include_query=True)
    scores = [
        {hit.path: hit.score for hit in doubled.search(tones / "200.wav", 4, encoder="words", unlike=unlike)}
        for unlike in ([], ["text:3000"])
    ]
    assert scores[1][str(tones / "3000.wav")] < scores[0][str(tones / "3000.wav")]
    with pytest.raises(UsageError, match="the words to search by are empty"):
        doubled.search(like=["text: "])
    with pytest.raises(UsageError, match="encoder raw takes no text"):
        doubled.search(tones / "200.wav", unlike=["text:700"], encoder="raw")
    # A file of such a name is meant by its path.
    monkeypatch.chdir(tones)
    Path("text:3000.wav").write_bytes(Path("3000.wav").read_bytes())
    assert first(like=["./text:3000.wav"]) == "3000.wav"
    done = echoic("search", "--like", "text:700", "--unlike", "text:200", "-k", "1", "--encoder", "words")
    assert "700.wav" in done.stdout
