"""A teacher's vectors: found by clip and time, centred, and refused where they teach nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from echoic.errors import DatasetError
from echoic.training.targets import Targets, read_targets

RNG = np.random.default_rng(3)
STARTS = np.arange(0, 20, 2.0)
VECTORS = RNG.normal(2, 1, (10, 6)).astype(np.float32)
OTHER = RNG.normal(2, 1, (1, 6)).astype(np.float32)


def make_targets() -> Targets:
    return Targets("t", [(STARTS, STARTS + 4, VECTORS), None, (np.zeros(1), np.array([np.inf]), OTHER)])


def naive_target(start, end):
    centre = (VECTORS.astype(float).mean(0) + OTHER.astype(float)[0]) / 2
    mean = np.zeros(6)
    for vector, at in zip(VECTORS.astype(float) - centre, STARTS, strict=True):
        mean += max(0, min(at + 4, end) - max(at, start)) * vector / np.linalg.norm(vector)
    return mean / np.linalg.norm(mean)


@given(st.floats(0, 20), st.floats(0.1, 10))
def test_a_target_is_the_mean_of_what_falls_into_the_stretch(start, length):
    found = make_targets().of(0, start, start + length)
    np.testing.assert_allclose(found, naive_target(start, start + length), atol=1e-4)


def test_where_nothing_is_known_there_is_nothing_to_learn():
    targets = make_targets()
    assert (targets.n_clips, targets.dim) == (2, 6)
    assert not targets.of(1, 0, 5).any()
    assert not targets.of(0, 30, 35).any()
    np.testing.assert_allclose(np.linalg.norm(targets.of(2, 100, 105)), 1, atol=1e-6)


def test_what_all_vectors_share_is_taken_out_and_every_clip_counts_once():
    loud = np.full((1, 6), 9, np.float32)
    targets = Targets("t", [(np.arange(50.0), np.arange(1, 51.0), np.ones((50, 6), np.float32) + loud),
                            (np.zeros(1), np.ones(1), loud - 1)])  # fmt: skip
    np.testing.assert_allclose(targets.of(0, 0, 50), -targets.of(1, 0, 1), atol=1e-6)


def save(path, **arrays):
    np.savez(path, **arrays)
    return path


def test_an_archive_is_read_by_the_paths_of_the_clips(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paths = np.array(["b.wav", "a/c.wav", "b.wav", str(tmp_path / "z.wav")])
    vectors = np.eye(4, 5, dtype=np.float32)
    archive = save(
        tmp_path / "t.npz", paths=paths, vectors=vectors, starts=np.array([0.0, 0, 5, 0]),
        ends=np.array([5.0, 5, 10, 5]), encoder=np.array("sound"),
    )  # fmt: skip
    clips = [tmp_path / "a" / "c.wav", tmp_path / "unknown.wav", tmp_path / "b.wav"]
    targets = read_targets(archive, clips)
    assert (targets.name, targets.n_clips, targets.dim) == ("sound", 2, 5)
    assert not targets.of(1, 0, 5).any()
    expected = Targets("t", [(np.zeros(1), np.full(1, 5.0), vectors[1:2]), None,
                             (np.array([0.0, 5]), np.array([5.0, 10]), vectors[[0, 2]])])  # fmt: skip
    for clip in range(3):
        np.testing.assert_array_equal(targets.of(clip, 4, 8), expected.of(clip, 4, 8))
    assert targets.digest == expected.digest != read_targets(archive, clips[2:]).digest


def test_one_vector_a_file_is_of_the_whole_file(tmp_path):
    vectors = np.eye(2, 3, dtype=np.float32)
    clips = [tmp_path / "a.wav", tmp_path / "b.wav"]
    archive = save(tmp_path / "t.npz", paths=np.array([str(clip) for clip in clips]), vectors=vectors)
    targets = read_targets(archive, clips)
    assert targets.name == "t.npz"  # not where it lay: the name goes into cards
    np.testing.assert_allclose(targets.of(0, 0, 1), targets.of(0, 500, 600), atol=1e-6)
    assert targets.of(0, 0, 1).any()


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"vectors": np.eye(2, dtype=np.float32)}, "no array 'paths'"),
        ({"paths": np.array(["a", "b"]), "vectors": np.zeros(2, np.float32)}, "no table of numbers"),
        ({"paths": np.array(["a"]), "vectors": np.eye(2, dtype=np.float32)}, "not of one length"),
        ({"paths": np.array([1]), "vectors": np.eye(1, dtype=np.float32)}, "paths are no text"),
        (
            {"paths": np.array(["a"]), "vectors": np.eye(1, dtype=np.float32), "starts": np.array(["x"])},
            "times are no numbers",
        ),
        ({"paths": np.array(["a"]), "vectors": np.full((1, 2), np.nan)}, "not finite"),
        ({"paths": np.array(["a"]), "vectors": np.ones((1, 2))}, "no vectors of any of the 1 clips"),
    ],
)
def test_what_is_no_such_archive_is_refused_in_a_sentence(arrays, sentence, tmp_path):
    archive = save(tmp_path / "t.npz", **arrays)
    with pytest.raises(DatasetError, match=sentence):
        read_targets(archive, [tmp_path / "x.wav"])


@pytest.mark.parametrize("content", [None, b"", b"not an archive", b"PK\x03\x04 cut off"])
def test_what_cannot_be_read_is_refused_in_a_sentence(content, tmp_path):
    archive = tmp_path / "t.npz"
    if content is not None:
        archive.write_bytes(content)
    with pytest.raises(DatasetError, match=r"cannot be read .*echoic embed"):
        read_targets(archive, [tmp_path / "x.wav"])
