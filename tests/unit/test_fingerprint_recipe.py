"""What fingerprint learns from: pairs of windows of one moment."""

import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from tests.recipes import of_the_recipe

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def pairs():
    return of_the_recipe("fingerprint", "pairs")


@pytest.fixture(scope="module")
def train():
    return of_the_recipe("fingerprint", "train")


@pytest.fixture(scope="module")
def track():
    """A glide: which moment it is can be heard from its pitch."""
    time = np.arange(10 * 8_000) / 8_000
    return np.sin(2 * np.pi * (300 * time + 60 * time**2)).astype(np.float32)


def nothing(pairs, **changed):
    fields = dict.fromkeys(pairs.Degradation.__dataclass_fields__)
    plain = {"speed": 1.0, "tempo": 1.0, "shift": 0.0, "telephone": False, "noise_at": 0.0, "snr_db": 0.0}
    return pairs.Degradation(**fields | plain | changed)


def pitch(frames):
    """Find the strongest frequency of each frame, in Hz."""
    return np.abs(np.fft.rfft(frames, axis=-1)).argmax(axis=-1) * 8_000 / frames.shape[-1]


def test_an_undisturbed_pair_is_one_window_twice(pairs, track):
    stretch = pairs.stretch_of(track, 1.0, np.random.default_rng(0))
    np.testing.assert_array_equal(pairs.degrade(stretch, nothing(pairs), [], []), pairs.clean(stretch))


def test_the_spectrogram_is_that_of_the_encoder(pairs, track):
    from echoic.encoders.registry import load_encoder

    front_end = load_encoder("fingerprint").front_end
    samples = track[: front_end.n_fft + 28 * front_end.hop_length]
    np.testing.assert_allclose(pairs.log_mel(pairs.framed(samples)), front_end(samples[None])[0], atol=2e-3)


@pytest.mark.parametrize("change", [{"speed": 1.07}, {"speed": 0.94}, {"tempo": 1.06}, {"tempo": 0.95}])
def test_the_moment_stays_in_the_middle(pairs, track, change):
    stretch = pairs.stretch_of(track, 1.0, np.random.default_rng(1))
    before = pitch(pairs.clean(stretch))
    after = pitch(pairs.degrade(stretch, nothing(pairs, **change), [], []))
    middle = len(before) // 2
    assert after[middle] == pytest.approx(before[middle] * change.get("speed", 1), rel=0.03)


def test_a_shift_is_heard_later(pairs, track):
    stretch = pairs.stretch_of(track, 1.0, np.random.default_rng(2))
    moved = pitch(pairs.degrade(stretch, nothing(pairs, shift=0.2), [], [])) - pitch(pairs.clean(stretch))
    assert np.median(moved) == pytest.approx(2 * 60 * 0.2, abs=9)  # the glide climbs 120 Hz a second


def test_what_was_drawn_is_done_and_nothing_more_is_drawn(pairs, track):
    noises = [np.random.default_rng(5).normal(0, 0.1, 20_000).astype(np.float32)]
    rooms = [np.exp(-np.arange(4_000) / 800).astype(np.float32)]
    shares = np.ones(1)
    rng = np.random.default_rng(3)
    stretch = pairs.stretch_of(track, 1.1, rng)
    for _ in range(40):
        what = pairs.draw(rng, 1, shares)
        one, two = (pairs.degrade(stretch, what, rooms, noises) for _ in range(2))
        np.testing.assert_array_equal(one, two)
        assert one.shape == pairs.clean(stretch).shape
        assert np.isfinite(pairs.log_mel(one)).all()
        assert 0.9 < what.speed < 1.1
        assert abs(what.shift) <= pairs.SHIFT


def test_training_goes_on_from_the_weights_of_what_ships_in_eight_bits(train):
    from echoic.audio.synthesis import FAMILIES, make_sound
    from echoic.encoders.registry import load_encoder

    encoder = load_encoder("fingerprint")
    windows = np.stack(
        [
            make_sound(family, 0, sample_rate=8_000)[4_000:][: encoder.spec.window_samples]
            for family in FAMILIES
        ]
    )
    log_mel = encoder.front_end(np.tile(windows, (6, 1)))
    graph = Path(train.__file__).with_name("fingerprint.onnx")
    network = train.FingerprintNet.from_graph(graph, torch.from_numpy(log_mel[:30]))
    assert network.training
    with torch.no_grad():
        there = network.eval()(torch.from_numpy(log_mel)).numpy()
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(there, session.run(None, {"log_mel": log_mel})[0], atol=1e-5)
    assert np.einsum("ij,ij->i", there, encoder.encode(log_mel)).min() > 0.97


def vectors_of_pairs(n=6):
    rng = np.random.default_rng(7)
    first = rng.normal(size=(n, 8))
    both = np.concatenate([first, first + rng.normal(0, 0.7, first.shape)])
    return both / np.linalg.norm(both, axis=1, keepdims=True)


def loss_of(train, name, vectors):
    return float(train.loss_of(name, *torch.from_numpy(vectors).float().chunk(2)))


def test_ntxent_is_that_of_a_loop(train):
    vectors = vectors_of_pairs()
    n, total = len(vectors) // 2, 0.0
    for at in range(2 * n):
        partner = (at + n) % (2 * n)
        scores = [vectors[at] @ vectors[i] / train.TEMPERATURE for i in range(2 * n) if i != at]
        total += np.logaddexp.reduce(scores) - vectors[at] @ vectors[partner] / train.TEMPERATURE
    assert loss_of(train, "ntxent", vectors) == pytest.approx(total / (2 * n), rel=1e-4)


@pytest.mark.parametrize("name", ["triplet", "triplet-semihard"])
def test_triplets_are_those_of_a_loop(train, name):
    from echoic.training.objectives import TRIPLET_MARGIN as MARGIN

    vectors = vectors_of_pairs()
    n, violations = len(vectors) // 2, []
    for at in range(2 * n):
        near = vectors[at] @ vectors[(at + n) % (2 * n)]
        others = [vectors[at] @ vectors[i] for i in range(2 * n) if i % n != at % n]
        if name == "triplet":  # of Euclidean distance
            violations.append(np.sqrt(2 - 2 * near) - np.sqrt(2 - 2 * max(others)) + MARGIN)
        else:  # farther than the partner, but by less than the margin
            violations += [far - near + MARGIN for far in others if near - MARGIN < far < near]
    expected = np.mean([value for value in violations if value > 0])
    assert loss_of(train, name, vectors) == pytest.approx(expected, rel=1e-4)


def test_a_batch_is_made_of_tracks_that_are_alike(train, track):
    """Four glides and four hums: whatever comes first in a batch, its like comes next."""
    rng = np.random.default_rng(8)
    hum = np.sin(2 * np.pi * 200 * np.arange(len(track)) / 8_000).astype(np.float32)
    tracks = [
        (base + rng.normal(0, 1e-3, len(track))).astype(np.float32) for _ in range(4) for base in (track, hum)
    ]
    torch.manual_seed(0)
    groups = train.groups_of(train.FingerprintNet(), tracks, 4)
    assert (groups[:, 0] == np.arange(8)).all()
    assert (groups % 2 == np.arange(8)[:, None] % 2).all()


def test_a_run_goes_on_only_as_it_was_begun(train, track, tmp_path, monkeypatch, capsys):
    rng = np.random.default_rng(0)
    sounds = {
        "music": [track + 0.01 * rng.standard_normal(len(track)).astype(np.float32) for _ in range(64)],
        "noise": [rng.standard_normal(80_000).astype(np.float32)],
        "room": [np.eye(1, 4_000, dtype=np.float32)[0]],
    }
    monkeypatch.setattr(train, "load", lambda _: sounds)
    output = tmp_path / "f.pt"
    words = ["train.py", "--data", "D", "-o", str(output), "--minutes", "0.001", "--widths", "8,8,8,8,8"]
    monkeypatch.setattr(sys, "argv", words)
    train.main()
    first = torch.load(output, weights_only=True)
    assert first["step"] == 1
    monkeypatch.setattr(sys, "argv", [*words, "--resume", "--loss", "triplet"])
    with pytest.raises(SystemExit):
        train.main()
    assert "was begun with" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", [*words, "--resume", "--minutes", str(first["spent"] + 0.001)])
    train.main()
    assert torch.load(output, weights_only=True)["step"] == 2
