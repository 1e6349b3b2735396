"""The map of a library: where each file lies, and that of alike ones."""

from __future__ import annotations

import shutil
from contextlib import closing

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from echoic import Library
from echoic.opening import Opening
from echoic.server import mapping
from echoic.server.mapping import flatten


def test_each_file_has_a_place_near_to_what_sounds_alike(ask, ids):
    told = ask("/v1/map").json
    assert told["encoder"] == "sound"
    assert told["total"] == len(told["ids"]) == len(told["x"]) == len(told["y"]) == 7
    assert ids["no-sound.wav"] not in told["ids"]
    place = dict(zip(told["ids"], zip(told["x"], told["y"], strict=True), strict=True))

    def apart(one, other):
        return np.hypot(*np.subtract(place[ids[one]], place[ids[other]]))

    assert apart("drive.mp3", "drive-copy.flac") < apart("drive.mp3", "rain.wav")
    folders = dict(zip(told["ids"], told["folder"], strict=True))
    assert told["folders"][folders[ids["drive.mp3"]]].endswith("pieces")


def test_it_is_drawn_once(ask, monkeypatch):
    first = ask("/v1/map")
    monkeypatch.setattr(mapping.Mapping, "draw", lambda _: pytest.fail("drawn again"))
    again = ask("/v1/map", headers={"If-None-Match": first.headers["ETag"]})
    assert again.status == 304
    assert ask("/v1/map").body == first.body


def test_it_is_drawn_anew_once_a_file_has_another_place(place, tmp_path):
    shutil.copytree(place.library, tmp_path / "library")
    with Library(tmp_path / "library") as library, closing(Opening(library.folder)) as opening:
        drawn = mapping.Mapping(opening)
        before = drawn.state()
        assert mapping.Mapping(opening).state() == before
        catalog, _ = library._open()
        record = library.files()[0]
        with catalog.transaction():
            catalog.move_file(record.id, tmp_path / "elsewhere.wav", record.mtime_ns)
        assert drawn.state() != before


def test_of_many_files_some_are_drawn_from_all(ask, monkeypatch):
    monkeypatch.setattr(mapping, "MOST_POINTS", 3)
    told = mapping.Mapping(ask.service.holdings.opening).draw()
    assert len(told.ids) == 3
    assert told.total == 7


@given(n=st.integers(0, 40), kind=st.sampled_from(["any", "same", "two", "line"]), seed=st.integers(0, 99))
def test_every_place_lies_within_the_map(n, kind, seed):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(n, 8)).astype(np.float32)
    if kind == "same":
        vectors[:] = vectors[:1]
    elif kind == "two":
        vectors = vectors[rng.integers(0, 2, n)] if n > 1 else vectors
    elif kind == "line":
        vectors = np.outer(rng.normal(size=n), np.ones(8)).astype(np.float32)
    places = flatten(vectors)
    assert places.shape == (n, 2)
    assert np.isfinite(places).all()
    assert (np.abs(places) <= 1 + 1e-9).all()
    if kind == "same":
        assert not places.any()
