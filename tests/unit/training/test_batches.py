"""Batches: what is cut, mixed and labelled, as a function of seed and step alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from echoic.audio.spectrogram import LogMel
from echoic.audio.windows import cut
from echoic.training.augment import Augmentation, Augmenter
from echoic.training.batches import Batches, Crop
from echoic.training.samplers import PKSampler
from echoic.training.targets import Targets

RATE = 8_000
MEL = LogMel(sample_rate=RATE, n_fft=256, hop_length=80, n_mels=16, fmin=50, fmax=4_000)
WINDOW = 0.5
N_FRAMES = MEL.n_frames(round(WINDOW * RATE))
PLAIN = Crop(short=0, rotate=0, stretch=0)


@dataclass
class Sound:
    samples: np.ndarray

    @property
    def n_samples(self) -> int:
        return len(self.samples)

    def read(self, start: int = 0, stop: int | None = None) -> np.ndarray:
        return self.samples[start:stop]


def make_batches(lengths, *, mixed=0.0, crop=Crop(), augmentation=None, seed=0, targets=None):  # noqa: B008 - frozen
    rng = np.random.default_rng(7)
    audio = [Sound(rng.normal(0, 0.1, n).astype(np.float32)) for n in lengths]
    labels = [i % 2 for i in range(len(lengths))]
    return audio, Batches(
        audio,
        labels,
        PKSampler(labels, 2, 4, seed=seed),
        front_end=MEL,
        augmenter=Augmenter(augmentation or Augmentation(), MEL),
        crop=crop,
        mixed=mixed,
        seed=seed,
        targets=targets,
    )


def assert_same(one, other):
    for left, right in zip(one, other, strict=True):
        np.testing.assert_array_equal(left, right)


def test_a_batch_depends_on_the_seed_and_the_step_alone():
    _, batches = make_batches([9_000] * 6, mixed=0.5)
    first = [batches.draw(step, N_FRAMES) for step in range(4)]
    _, again = make_batches([9_000] * 6, mixed=0.5)
    assert_same(again.draw(3, N_FRAMES), first[3])
    assert_same(again.draw(1, N_FRAMES), first[1])
    _, other = make_batches([9_000] * 6, mixed=0.5, seed=1)
    assert not np.array_equal(other.draw(0, N_FRAMES).log_mel, first[0].log_mel)


def test_batches_made_ahead_are_those_drawn_one_by_one():
    _, batches = make_batches([9_000] * 6, mixed=0.5)
    _, again = make_batches([9_000] * 6, mixed=0.5)
    lengths = [N_FRAMES, N_FRAMES // 2, N_FRAMES, N_FRAMES, N_FRAMES // 2]
    with batches.ahead(2, lengths) as source:
        made = list(source)
    assert len(made) == len(lengths)
    for step, (batch, n_frames) in enumerate(zip(made, lengths, strict=True), 2):
        assert_same(batch, again.draw(step, n_frames))


def test_an_error_in_a_batch_made_ahead_reaches_who_asks():
    audio, batches = make_batches([9_000] * 6)

    def broken(start=0, stop=None):
        raise OSError("the disk is gone")

    for clip in audio:
        clip.read = broken
    with batches.ahead(0, [N_FRAMES] * 3) as source, pytest.raises(OSError, match="the disk is gone"):
        next(source)


@pytest.mark.parametrize("n_samples", [100, 2_000, 3_900])
def test_without_changes_a_short_clip_looks_as_a_search_sees_it(n_samples):
    audio, batches = make_batches([n_samples], crop=PLAIN, augmentation=Augmentation.none())
    seen = batches.draw(0, N_FRAMES).log_mel[0]
    windows = cut(audio[0].samples, round(WINDOW * RATE), round(WINDOW * RATE / 2), RATE).samples
    np.testing.assert_allclose(seen, MEL(windows)[0], atol=1e-4)


def test_without_changes_a_window_lies_somewhere_in_its_clip():
    audio, batches = make_batches([RATE * 3], crop=PLAIN, augmentation=Augmentation.none())
    seen = batches.draw(0, N_FRAMES).log_mel[0]
    window = round(WINDOW * RATE)
    starts = range(0, RATE * 3 - window + 1)
    # Only the right start gives the very same first frame.
    matches = [
        start
        for start in starts
        if np.allclose(MEL(audio[0].samples[None, start : start + MEL.n_fft])[0, 0], seen[0], atol=1e-3)
    ]
    assert len(matches) == 1
    np.testing.assert_allclose(MEL(audio[0].samples[None, matches[0] :][:, :window])[0], seen, atol=1e-3)


def test_mixing_touches_the_share_of_the_batch_that_it_should():
    _, batches = make_batches([9_000] * 6, mixed=0.5)
    batch = batches.draw(0, N_FRAMES)
    mixed = batch.share < 1
    assert 0 < mixed.sum() <= len(batch.share) / 2
    assert (batch.share >= 0.5).all()
    assert (batch.labels[~mixed] == batch.partner_labels[~mixed]).all()


def test_unmixed_batches_name_one_label_each():
    _, batches = make_batches([9_000] * 6)
    batch = batches.draw(0, N_FRAMES)
    assert (batch.share == 1).all()
    np.testing.assert_array_equal(batch.labels, batch.partner_labels)
    assert sorted(batch.labels) == [0] * 4 + [1] * 4


@given(
    lengths=st.lists(st.integers(1, 12_000), min_size=2, max_size=4),
    step=st.integers(0, 50),
    n_frames=st.integers(2, N_FRAMES),
)
def test_any_clip_makes_finite_windows_of_the_size_asked_for(lengths, step, n_frames):
    _, batches = make_batches(lengths, mixed=0.5)
    batch = batches.draw(step, n_frames)
    assert batch.log_mel.shape == (8, n_frames, MEL.n_mels)
    assert batch.log_mel.dtype == np.float32
    assert np.isfinite(batch.log_mel).all()
    assert batch.log_mel.min() >= -100


def test_silent_clips_do_no_harm():
    audio, batches = make_batches([4_000, 4_000])
    for clip in audio:
        clip.samples = np.zeros(4_000, np.float32)
    assert np.isfinite(batches.draw(0, N_FRAMES).log_mel).all()


def test_without_a_teacher_there_are_no_targets():
    _, batches = make_batches([9_000] * 6, mixed=0.5)
    assert batches.draw(0, N_FRAMES).targets.shape == (8, 0)


@pytest.mark.parametrize("mixed", [0.0, 0.5])
def test_targets_are_mixed_as_the_windows_are(mixed):
    vectors = np.eye(6, dtype=np.float32)
    whole = np.zeros(1), np.full(1, np.inf)
    targets = Targets("t", [(*whole, vectors[[i]]) if i < 4 else None for i in range(6)])
    _, batches = make_batches([9_000] * 6, mixed=mixed, targets=targets)
    # Labels are the clips here, so that a batch tells which clips were drawn.
    batches._labels = np.arange(6)
    for step in range(10):
        batch = batches.draw(step, N_FRAMES)
        for label, partner, share, target in zip(*batch[1:], strict=True):
            own, other = targets.of(label, 0, 1), targets.of(partner, 0, 1)
            blend = share * own + (1 - share) * other
            known = own.any() and other.any()
            expected = blend / np.linalg.norm(blend) if known else np.zeros(6)
            np.testing.assert_allclose(target, expected, atol=1e-5)


def test_the_target_is_of_the_stretch_that_was_cut(monkeypatch):
    times = np.arange(0, 10, 0.01)
    turning = np.stack([np.cos(times / 2), np.sin(times / 2)], 1).astype(np.float32)
    targets = Targets("t", [(times, times + 0.01, turning), (times, times + 0.01, -turning)])
    _, batches = make_batches([80_000] * 2, targets=targets)
    batches.draw(0, N_FRAMES)  # how loud the clips are is known from here on
    cut_out = []
    read = Sound.read

    def noted(sound, start=0, stop=None):
        cut_out.append((start / RATE, stop / RATE))
        return read(sound, start, stop)

    monkeypatch.setattr(Sound, "read", noted)
    batch = batches.draw(1, N_FRAMES)
    assert len({start for start, _ in cut_out}) == 8
    for label, target, span in zip(batch.labels, batch.targets, cut_out, strict=True):
        np.testing.assert_allclose(target, targets.of(label, *span), atol=1e-6)
