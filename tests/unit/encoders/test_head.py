"""What tells kinds of sound by vectors: what is read, what is refused, and that kinds agree."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest

from echoic.encoders.head import Head
from echoic.encoders.onnx import BUNDLED
from echoic.encoders.registry import load_encoder

LABELS = ["Animal", "Bark", "Rain"]


def arrays(**changed):
    made = {
        "labels": np.frombuffer("\n".join(LABELS).encode(), np.uint8),
        "kinds": np.array([[1, 0]], np.int16),
        "first_weight": np.eye(2, dtype=np.float16),
        "first_bias": np.zeros(2, np.float16),
        "second_weight": np.array([[0, 0], [4, 0], [0, 2]], np.float16),
        "second_bias": np.array([-1, -2, -2], np.float16),
        "whole": np.array([1, 0], np.float32),
        "close": np.array([0.5, 1], np.float32),
    }
    return made | changed


def head(**changed):
    content = BytesIO()
    np.savez(content, **{name: value for name, value in arrays(**changed).items() if value is not None})
    return Head(content.getvalue(), 2)


def sigmoid(x):
    return 1 / (1 + np.exp(-np.asarray(x)))


def test_windows_are_judged_by_two_layers_and_a_bark_is_an_animal():
    likely = head().of_windows(np.array([[1, 0], [0, 1], [-1, 0]], np.float32))
    np.testing.assert_allclose(likely, sigmoid([[2, 2, -2], [-1, -2, 0], [-1, -2, -2]]), rtol=1e-5)


def test_kinds_that_reach_what_is_asked_for_in_one_window_are_told_in_all():
    vectors = np.random.default_rng(0).normal(size=(600, 2)).astype(np.float32)  # not all at once
    likely = head().of_windows(vectors)
    for least in (0.05, np.sort(likely.max(axis=0))[1], 0.9999):
        kinds, there = head().reaching(vectors, float(least))
        np.testing.assert_array_equal(kinds, np.flatnonzero(likely.max(axis=0) >= least))
        np.testing.assert_allclose(there, likely[:, kinds], rtol=1e-5)


def test_moments_are_judged_by_what_is_close_and_what_is_around():
    close, around = np.array([[1.0, 3, 0]], np.float32), np.array([[1.0, 1, -4]], np.float32)
    np.testing.assert_allclose(head().of_moments(close, around), sigmoid([[2, 2, 0]]), rtol=1e-5)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"close": None}, "it holds"),
        ({"labels": np.array([255], np.uint8)}, "no text"),
        ({"labels": np.frombuffer(b"a\na\nb", np.uint8)}, "twice"),
        ({"first_weight": np.eye(3, dtype=np.float16)}, "have the shape"),
        ({"second_weight": np.full((3, 2), np.nan, np.float16)}, "no finite numbers"),
        ({"second_bias": np.array(["a", "b", "c"])}, "no finite numbers"),
        ({"kinds": np.array([[3, 0]], np.int16)}, "no pairs of labels"),
        ({"kinds": np.zeros((1, 2), np.float32)}, "no pairs of labels"),
        ({"kinds": np.zeros((), np.int16)}, "have the shape"),
    ],
)
def test_what_is_no_head_is_refused(changed, says):
    with pytest.raises(ValueError, match=says):
        head(**changed)


def test_what_is_no_archive_is_refused():
    with pytest.raises(ValueError, match="no archive"):
        Head(b"PK\x03\x04 and no more", 2)


def test_sound_tells_kinds_of_sound():
    encoder = load_encoder("sound")
    told = encoder.head
    assert {"Speech", "Music", "Bark", "Siren", "Rain"} <= set(told.labels)
    assert told.labels.index("Bark") in told.kinds[told.labels.index("Animal")]
    assert (BUNDLED / "sound.heard.npz").stat().st_size < 1_500_000
    vectors = np.eye(encoder.spec.dim, dtype=np.float32)
    likely = told.of_windows(vectors)
    assert likely.shape == (encoder.spec.dim, len(told.labels))
    assert ((likely >= 0) & (likely <= 1)).all()
    assert load_encoder("fingerprint").head is None
