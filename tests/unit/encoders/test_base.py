"""The small things that every encoder's output goes through."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from echoic.encoders.base import check_vectors, mean_vector, normalize
from echoic.errors import EncoderError
from echoic.spec import EncoderSpec

SPEC = EncoderSpec("mine", "1", 8_000, 1.0, 0.5, 3)
rows = arrays(np.float32, st.tuples(st.integers(1, 6), st.just(3)), elements=st.floats(-1e3, 1e3, width=32))


@given(rows)
def test_normalized_rows_have_length_one_and_keep_their_direction(vectors):
    unit = normalize(vectors)
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, atol=1e-5)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    moving = lengths[:, 0] > 0
    np.testing.assert_allclose((unit * lengths)[moving], vectors[moving], rtol=1e-4, atol=1e-5)


@given(rows)
def test_the_mean_of_vectors_has_length_one(vectors):
    assert np.linalg.norm(mean_vector(normalize(vectors))) == pytest.approx(1, abs=1e-5)


def test_opposite_vectors_have_some_mean():
    vectors = np.float32([[1, 0, 0], [-1, 0, 0]])
    assert np.linalg.norm(mean_vector(vectors)) == 1


def test_sound_vectors_pass():
    vectors = np.eye(2, 3, dtype=np.float32)
    assert check_vectors(SPEC, 2, vectors) is vectors


@pytest.mark.parametrize("shape", [(2, 4), (3, 3), (2,)])
def test_a_wrong_shape_is_the_encoders_fault(shape):
    with pytest.raises(EncoderError, match="encoder mine gave vectors of shape"):
        check_vectors(SPEC, 2, np.ones(shape, np.float32))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_the_encoders_fault(value):
    vectors = np.eye(2, 3, dtype=np.float32)
    vectors[1, 1] = value
    with pytest.raises(EncoderError, match="not finite"):
        check_vectors(SPEC, 2, vectors)
