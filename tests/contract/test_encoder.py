"""What every encoder promises, asked of each that is installed."""

from __future__ import annotations

import numpy as np
import pytest

from echoic.audio.synthesis import noise, tone
from echoic.encoders.base import Encoder, PictureEncoder, TextEncoder, encode_windows
from echoic.encoders.registry import DEFAULT_ENCODERS, available
from tests.doubles.echoic_doubles import Chimes, Framed, Raw, Sights, Singers, Tunes, Words

NAMES = [entry.name for entry in available()]
DOUBLES = {double.spec.name: double for double in (Raw, Words, Sights, Framed, Chimes, Tunes, Singers)}


def load(name):
    return DOUBLES[name]() if name in DOUBLES else available().load(name)


@pytest.fixture(scope="module", params=[*NAMES, *DOUBLES])
def encoder(request):
    return load(request.param)


@pytest.fixture(scope="module")
def windows(encoder):
    """Five windows: tones, noise, a click, and sound followed by padding."""
    spec = encoder.spec
    rows = np.zeros((5, spec.window_samples), np.float32)
    rows[0] = tone(440, spec.window, spec.sample_rate)[: spec.window_samples]
    rows[1] = noise(spec.window, spec.sample_rate, 1)[: spec.window_samples]
    rows[2, 100] = 1
    part = spec.window_samples // 10
    rows[3, :part] = noise(spec.window, spec.sample_rate, 2)[:part]
    rows[4] = 1e-3 * rows[0] + 1e-3 * rows[1]
    return rows


def test_the_defaults_are_installed():
    assert set(DEFAULT_ENCODERS) <= set(NAMES)


def test_it_is_an_encoder_and_says_what_it_is(encoder):
    spec = encoder.spec
    assert isinstance(encoder, Encoder)
    assert spec.name in [*NAMES, *DOUBLES]
    assert isinstance(encoder, TextEncoder) == ("text" in spec.inputs)
    assert isinstance(encoder, PictureEncoder) == ("picture" in spec.inputs)
    assert spec.revision
    assert spec.dim > 1
    assert 0 < spec.hop <= spec.window
    assert spec.sample_rate >= 8_000
    assert "audio" in spec.inputs
    assert spec.licence
    assert spec.reference
    assert spec.description


def test_vectors_are_float32_of_unit_length(encoder, windows):
    vectors = encode_windows(encoder, windows)
    assert (len(vectors), vectors.shape[-1]) == (len(windows), encoder.spec.dim)
    assert vectors.ndim == (3 if encoder.spec.by == "frame" else 2)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=-1), 1, atol=1e-4)


def test_two_runs_agree_to_the_bit(encoder, windows):
    np.testing.assert_array_equal(encode_windows(encoder, windows), encode_windows(encoder, windows.copy()))


def test_pictures_of_any_shape_have_one_vector_together(encoder):
    if not isinstance(encoder, PictureEncoder):
        assert not hasattr(encoder, "encode_pictures")
        return
    shapes = [(20, 30, 3), (300, 7, 3), (1, 1, 3)][: encoder.n_frames]
    film = [np.full(shape, 90 + 40 * i, np.uint8) for i, shape in enumerate(shapes)]
    for pictures in (film, film[:1]):
        vectors = encoder.encode_pictures(pictures)
        assert (vectors.shape, vectors.dtype) == ((1, encoder.spec.dim), np.float32)
        np.testing.assert_allclose(np.linalg.norm(vectors), 1, atol=1e-4)
        np.testing.assert_array_equal(encoder.encode_pictures(iter(pictures)), vectors)


def test_a_window_gives_the_same_alone_and_in_a_batch(encoder, windows):
    alone = np.concatenate([encode_windows(encoder, window[None]) for window in windows])
    np.testing.assert_allclose(alone, encode_windows(encoder, windows), atol=1e-5)
    np.testing.assert_allclose(alone[::-1], encode_windows(encoder, windows[::-1]), atol=1e-5)


def test_a_large_batch_is_taken_in_parts(encoder, windows):
    many = np.tile(windows, (10, 1))
    np.testing.assert_allclose(
        encode_windows(encoder, many)[-5:], encode_windows(encoder, windows), atol=1e-5
    )


def test_no_window_gives_no_vector(encoder):
    empty = np.empty((0, encoder.spec.window_samples), np.float32)
    assert encode_windows(encoder, empty).shape[:: 2 if encoder.spec.by == "frame" else 1] == (
        0,
        encoder.spec.dim,
    )


@pytest.mark.parametrize("level", [0.0, 1e-6, 1e-3, 1.0])
def test_silence_and_steady_levels_give_valid_vectors(encoder, level):
    window = np.full((1, encoder.spec.window_samples), level, np.float32)
    vector = encode_windows(encoder, window)
    assert np.isfinite(vector).all()
    assert np.linalg.norm(vector, axis=-1) == pytest.approx(1, abs=1e-4)


def test_loudness_hardly_matters(encoder, windows):
    vectors = encode_windows(encoder, windows[:2])
    quiet = encode_windows(encoder, windows[:2] * np.float32(0.1))
    # That it does not is built into the others; spoken has learnt it.
    least = 0.9 if encoder.spec.name == "spoken" else 0.95
    assert (vectors * quiet).sum(axis=-1).min() > least


def test_different_sounds_differ(encoder, windows):
    if encoder.spec.name in ("spoken", "voice"):
        pytest.skip("in a tone and in noise nobody speaks, which is one vector")
    tone_vector, noise_vector = encode_windows(encoder, windows[:2])
    assert (tone_vector * noise_vector).sum(axis=-1).mean() < 0.9


def test_a_front_end_is_a_value(encoder, windows):
    again = load(encoder.spec.name).front_end
    assert again == encoder.front_end
    assert hash(again) == hash(encoder.front_end)
    assert again.sample_rate == encoder.spec.sample_rate
    features = again(windows)
    assert features.dtype == np.float32
    assert features.shape[1:] == tuple(again.axes(encoder.spec.window_samples).values())


def test_words_are_vectors_like_those_of_sounds(encoder):
    if not isinstance(encoder, TextEncoder):
        assert not hasattr(encoder, "encode_text")
        return
    vectors = encoder.encode_text(["200", "3000"])
    assert vectors.shape == (2, encoder.spec.dim)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4)
    np.testing.assert_array_equal(vectors[:1], encoder.encode_text(["200"]))
