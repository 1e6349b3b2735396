"""``pe-av`` hears, reads and sees what transformers' own front ends and networks do."""

from __future__ import annotations

import numpy as np
import pytest

from echoic import pretrained
from echoic.encoders.base import PictureEncoder, TextEncoder
from echoic.encoders.pictures import squared
from echoic.encoders.registry import load_encoder
from echoic.errors import EncoderError, WeightsError
from tests.tiny_clap import TEXTS, clap_tokenizer
from tests.unit.pretrained.conftest import check_batches, torch, transformers, unit, windows

tiny = pytest.importorskip("tests.tiny_pe_av", reason="this version of transformers has no PE-AV")


@pytest.fixture(scope="module")
def checkpoint(saved):
    tokenizer = clap_tokenizer()
    network, folder = saved(
        tiny.pe_av_network, tiny.pe_av_config(tokenizer), tiny.pe_av_extractor(), tokenizer
    )
    tiny.write_looks(folder)
    return network, folder


@pytest.fixture(scope="module")
def case(checkpoint, added):
    network, folder = checkpoint
    return added("pe-av", folder), network


@pytest.fixture(scope="module")
def film():
    return np.random.default_rng(3).integers(0, 256, (tiny.FRAMES, 40, 31, 3), np.uint8)


def expected(network, clips=None, text=None, pictures=None):
    """Ask the network of transformers for the vectors of two kinds of things → those of the first."""
    read = clap_tokenizer()([text or "rain"], return_tensors="pt")
    asked = {"input_ids": read.input_ids}
    if clips is not None:
        heard = tiny.pe_av_extractor()(list(clips), sampling_rate=48_000, return_tensors="pt")
        with torch.no_grad():
            samples, mask = (torch.as_tensor(heard[name]) for name in ("input_values", "padding_mask"))
            return unit(network.audio_model.get_audio_embeds(samples, mask))
    levels = np.stack([squared(picture, tiny.SIZE) for picture in pictures]) / 255
    seen = (levels - tiny.LOOKS["image_mean"]) / tiny.LOOKS["image_std"]
    asked["pixel_values_videos"] = torch.from_numpy(seen.transpose(0, 3, 1, 2)[None]).float()
    with torch.no_grad():
        found = network.video_model(**asked)
    return unit(found.video_embeds)


def test_windows_and_shorter_clips_are_heard_as_by_transformers(case):
    encoder, network = case
    assert (encoder.spec.window, encoder.spec.sample_rate) == (10, 48_000)
    assert encoder.spec.inputs == {"audio", "text", "picture"}
    heard = windows(encoder, 4)
    lengths = [480_000, 100_001, 1_920, 3]
    for window, n in zip(heard, lengths, strict=True):
        window[n:] = 0
    clips = [window[:n] for window, n in zip(heard, lengths, strict=True)]
    np.testing.assert_allclose(encoder.encode(heard), expected(network, clips), atol=1e-4)


def test_vectors_do_not_depend_on_their_batch(case):
    check_batches(case[0])


def test_words_are_read_as_by_transformers(case):
    encoder, network = case
    assert isinstance(encoder, TextEncoder)
    for text in TEXTS:
        read = clap_tokenizer()([text], return_tensors="pt")
        with torch.no_grad():
            found = network.text_model(read.input_ids, read.attention_mask).last_hidden_state[:, 0]
            due = unit(network.audio_model.text_audio_head(found))
        np.testing.assert_allclose(encoder.encode_text([text]), due, atol=1e-4)


def test_films_and_pictures_are_seen_as_by_transformers(case, film):
    encoder, network = case
    assert isinstance(encoder, PictureEncoder)
    np.testing.assert_allclose(encoder.encode_pictures(film), expected(network, pictures=film), atol=1e-4)
    still = film[:1].repeat(tiny.FRAMES, axis=0)
    np.testing.assert_allclose(
        encoder.encode_pictures(film[:1]), expected(network, pictures=still), atol=1e-4
    )
    assert encoder.encode_pictures(film)[0] @ encoder.encode_pictures(film[:1])[0] < 1 - 1e-4


def test_the_vision_transformer_is_timms():
    timm = pytest.importorskip("timm", reason="the reference is timm's", exc_type=ImportError)
    size, width = 56, 128
    about = {"img_size": size, "embed_dim": width, "depth": 2, "num_heads": 2, "ref_feat_shape": (4, 4)}
    torch.manual_seed(0)
    due = timm.create_model("vit_pe_core_large_patch14_336", num_classes=tiny.LABELS, **about).eval()
    for part in due.parameters():
        torch.nn.init.normal_(part, std=0.1)
    mine = tiny.Vision(size, width, 2, tiny.LABELS).eval()
    mine.load_state_dict(due.state_dict())
    pictures = torch.randn(3, 3, size, size)
    with torch.no_grad():
        torch.testing.assert_close(mine(pictures), due(pictures), atol=1e-4, rtol=1e-4)


def test_the_file_of_pictures_is_that_of_the_card(case, film):
    encoder, _ = case
    path = encoder.path.with_suffix(".picture.onnx")
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b"?")
    try:
        with pytest.raises(EncoderError, match="is not the file"):
            load_encoder("pe-av").encode_pictures(film)
        load_encoder("pe-av").encode_text(["rain"])  # words need it not
    finally:
        path.write_bytes(content)


@pytest.mark.parametrize("changes", [{"num_frames": None}, {"do_center_crop": True}, {"resample": 3}])
def test_a_front_end_of_another_kind_is_refused(checkpoint, own_models, changes):
    _, folder = checkpoint
    tiny.write_looks(folder, **changes)
    try:
        with pytest.raises(WeightsError, match="see a fixed number of frames"):
            pretrained.add("pe-av", folder)
    finally:
        tiny.write_looks(folder)


def test_a_checkpoint_of_another_network_is_refused(own_models, saved):
    from tests.tiny_clap import clap_config

    tokenizer = clap_tokenizer()
    parts = (tiny.pe_av_extractor(), tokenizer)
    _, folder = saved(transformers.ClapModel, clap_config(tokenizer), *parts)
    tiny.write_looks(folder)
    with pytest.raises(WeightsError, match="are not those of its network"):
        pretrained.add("pe-av", folder)
