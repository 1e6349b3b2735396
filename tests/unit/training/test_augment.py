"""Augmentation: each change does exactly what it says, to nothing else, and only when it is drawn."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from echoic.audio.spectrogram import LogMel
from echoic.audio.synthesis import make_sound, tone
from echoic.errors import UsageError
from echoic.training.augment import Augmentation, Augmenter, Draw, spectrogram, waveform

RATE = 16_000
MEL = LogMel(sample_rate=RATE, n_fft=1024, hop_length=320, n_mels=64, fmin=50, fmax=8_000)
SILENCE = spectrogram.SILENCE_DB


def db(ratio):
    return 10 * np.log10(ratio)


def power(samples):
    return float(np.mean(np.square(samples, dtype=np.float64)))


def white(n, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, n).astype(np.float32)


def click(n=80_000, at=30_000):
    samples = np.zeros(n, np.float32)
    samples[at : at + 40] = white(40)
    return samples


def lag(a, b):
    """By how many samples ``b`` comes after ``a``."""
    size = 2 * max(len(a), len(b))
    correlation = np.fft.irfft(np.conj(np.fft.rfft(a, size)) * np.fft.rfft(b, size), size)
    best = int(np.argmax(correlation))
    return best - size if best > size // 2 else best


def pitch(samples):
    """Frequency of a tone in Hz, by the peak of its zero-padded spectrum."""
    middle = samples[len(samples) // 4 : -len(samples) // 4]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle)), 1 << 19))
    return np.argmax(spectrum) * RATE / (1 << 19)


# --- waveform -----------------------------------------------------------------------------------------------

WAVEFORM = {
    "amplify": lambda x, rng: waveform.amplify(x, rng.uniform(-40, 20)),
    "add_noise": lambda x, rng: waveform.add_noise(x, white(1000), rng.uniform(-10, 40)),
    "convolve_room": lambda x, rng: waveform.convolve_room(x, waveform.synthetic_room(0.2, RATE, rng)),
    "low_pass": lambda x, rng: waveform.low_pass(x, RATE, rng.uniform(500, 9000)),
    "high_pass": lambda x, rng: waveform.high_pass(x, RATE, rng.uniform(20, 1000)),
    "telephone": lambda x, rng: waveform.telephone(x, RATE),
    "equalise": lambda x, rng: waveform.equalise(x, RATE, [100, 1000, 8000], rng.uniform(-9, 9, 3)),
    "clip": lambda x, rng: waveform.clip(x, rng.uniform(-30, 0)),
    "clip softly": lambda x, rng: waveform.clip(x, rng.uniform(-30, 0), soft=True),
    "opus": lambda x, rng: waveform.codec(x, RATE, "opus", 16_000),
    "mp3": lambda x, rng: waveform.codec(x, RATE, "mp3", 16_000),
    "aac": lambda x, rng: waveform.codec(x, RATE, "aac", 16_000),
}


@settings(max_examples=12)
@given(
    hnp.arrays(np.float32, st.integers(0, 2000), elements=st.floats(-2, 2, width=32)), st.integers(0, 2**32)
)
@pytest.mark.parametrize("change", WAVEFORM.values(), ids=WAVEFORM)
def test_waveform_changes_keep_length_and_type_and_leave_their_input(change, samples, seed):
    before = samples.copy()
    out = change(samples, np.random.default_rng(seed))
    assert out.shape == samples.shape
    assert out.dtype == np.float32
    assert np.isfinite(out).all()
    assert not np.shares_memory(out, samples)
    np.testing.assert_array_equal(samples, before)
    np.testing.assert_array_equal(out, change(samples, np.random.default_rng(seed)))


@pytest.mark.parametrize("n", [0, 1, 2, 5000])
@pytest.mark.parametrize("change", WAVEFORM.values(), ids=WAVEFORM)
def test_silence_stays_silent(change, n):
    out = change(np.zeros(n, np.float32), np.random.default_rng(0))
    np.testing.assert_array_equal(out, np.zeros(n, np.float32))


def test_gain_is_exact():
    assert db(power(waveform.amplify(white(5000), -13.5)) / power(white(5000))) == pytest.approx(
        -13.5, abs=1e-4
    )


@pytest.mark.parametrize("snr_db", [-5, 0, 12.5, 40])
@pytest.mark.parametrize("n_noise", [7_000, 80_000, 200_000])
def test_noise_is_added_at_the_ratio_asked_for(snr_db, n_noise):
    samples = white(80_000)
    added = waveform.add_noise(samples, 3 * white(n_noise, seed=1), snr_db) - samples
    assert db(power(samples) / power(added)) == pytest.approx(snr_db, abs=0.1)


def test_ratio_to_noise_does_not_count_pauses():
    alone = white(2 * waveform.BLOCK_SAMPLES)
    samples = np.zeros(80_000, np.float32)
    samples[40 * waveform.BLOCK_SAMPLES :][: len(alone)] = alone
    added = waveform.add_noise(samples, white(80_000, seed=1), 10) - samples
    assert db(power(alone) / power(added)) == pytest.approx(10, abs=0.1)
    assert waveform.active_blocks(samples).sum() == 2
    assert waveform.active_power(samples) == pytest.approx(power(alone), rel=1e-4)


def test_a_click_is_heard_above_noise():
    samples = click()
    added = waveform.add_noise(samples, white(80_000, seed=1), 10) - samples
    assert np.abs(samples).max() > 2 * np.abs(added).max()
    assert power(added) > power(samples) / 10 * 100  # and the noise beside it, too: 20 dB more than over all


def test_pauses_are_what_is_40_db_below_the_loudest():
    samples = np.repeat(np.float32([1, 0.02, 0.005, 0]), waveform.BLOCK_SAMPLES)
    assert waveform.active_blocks(samples).tolist() == [True, True, False, False]


def test_no_noise_at_all_changes_nothing():
    for nothing in (np.zeros(0, np.float32), np.zeros(100, np.float32)):
        np.testing.assert_array_equal(waveform.add_noise(white(500), nothing, 0), white(500))


@pytest.mark.parametrize("exponent", [-1, 0, 1, 2])
def test_noise_falls_by_its_exponent(exponent):
    noise = waveform.coloured_noise(1 << 17, exponent, np.random.default_rng(0))
    density = np.square(np.abs(np.fft.rfft(noise)))
    low, high = density[1000:2000].mean(), density[16_000:32_000].mean()  # four octaves apart
    assert db(low / high) == pytest.approx(4 * 3.01 * exponent, abs=0.1)
    assert power(noise) == pytest.approx(1, abs=1e-3)
    assert waveform.coloured_noise(1, exponent, np.random.default_rng(0)).shape == (1,)


def test_noise_has_the_distribution_of_noise():
    noise = waveform.coloured_noise(80_000, 0, np.random.default_rng(0))
    assert np.mean(noise**4) == pytest.approx(3, abs=0.1)


@pytest.mark.parametrize("delay", [0, 500, 5000])
@pytest.mark.parametrize("rt60", [0.1, 0.6, 1.5])
def test_a_room_keeps_onset_length_and_energy(delay, rt60):
    room = waveform.synthetic_room(rt60, RATE, np.random.default_rng(1), drr_db=0)
    out = waveform.convolve_room(click(), 0.3 * np.pad(room, (delay, 0)))
    assert out.shape == (80_000,)
    assert power(out) == pytest.approx(power(click()), rel=1e-3)
    assert abs(lag(click(), out)) <= RATE // 1000
    assert np.abs(out[: 30_000 - RATE // 1000]).max() < 1e-5 * np.abs(out).max()


def test_the_direct_path_may_be_weaker_than_a_reflection():
    response = np.zeros(2000, np.float32)
    response[[300, 900]] = 0.7, -1.0
    out = waveform.convolve_room(click(), response)
    assert int(np.flatnonzero(np.abs(out) > 1e-3)[0]) == 30_000


def test_a_room_without_walls_changes_nothing():
    for response in ([1], [0, 0, 0.2], [0], []):
        out = waveform.convolve_room(white(700), np.array(response, np.float32))
        np.testing.assert_allclose(out, white(700), atol=1e-6)


@pytest.mark.parametrize("rt60", [0.2, 0.5, 1.2])
@pytest.mark.parametrize("drr_db", [-5, 10])
def test_a_room_decays_as_asked(rt60, drr_db):
    room = waveform.synthetic_room(rt60, RATE, np.random.default_rng(0), drr_db=drr_db)
    assert db(room[0] ** 2 / np.sum(room[1:] ** 2)) == pytest.approx(drr_db, abs=0.01)
    assert len(room) == round(rt60 * RATE)
    left = db(np.cumsum(room[::-1] ** 2)[::-1])  # Schroeder's integral, from behind the reflections on
    start, stop = round(0.05 * RATE), round(0.5 * rt60 * RATE)
    slope = (left[stop] - left[start]) / (stop - start) * RATE
    assert -60 / slope == pytest.approx(rt60, rel=0.1)


def test_the_smallest_room_is_the_direct_sound():
    assert waveform.synthetic_room(1e-6, RATE, np.random.default_rng(0)).tolist() == [1]


def loss(change, frequency):
    x = tone(frequency, 1, RATE)
    return -db(power(change(x)[4000:12_000]) / power(x[4000:12_000]))


def test_filters_pass_and_stop_what_they_should():
    def low(x):
        return waveform.low_pass(x, RATE, 2000)

    def high(x):
        return waveform.high_pass(x, RATE, 500)

    def phone(x):
        return waveform.telephone(x, RATE)

    assert loss(low, 2000) == pytest.approx(3.01, abs=0.05)
    assert loss(low, 1000) == pytest.approx(0, abs=0.01)
    assert loss(low, 4000) == pytest.approx(48.2, abs=0.5)
    assert loss(high, 500) == pytest.approx(3.01, abs=0.05)
    assert loss(high, 2000) == pytest.approx(0, abs=0.01)
    assert loss(high, 250) == pytest.approx(24.1, abs=0.5)
    assert loss(phone, 1000) == pytest.approx(0, abs=0.01)
    assert min(loss(phone, 150), loss(phone, 5000)) > 40


def test_the_equaliser_has_the_gains_asked_for():
    def change(x):
        return waveform.equalise(x, RATE, [200, 800, 3200], [6, -9, 3])

    assert [loss(change, f) for f in (100, 200, 800, 3200, 6000)] == pytest.approx(
        [-6, -6, 9, -3, -3], abs=0.1
    )
    assert loss(change, 400) == pytest.approx(1.5, abs=0.1)  # half way in octaves


@pytest.mark.parametrize("name", ["low_pass", "high_pass", "telephone", "equalise"])
def test_filters_move_nothing_in_time(name):
    out = WAVEFORM[name](click(), np.random.default_rng(3))
    assert abs(lag(click(), out)) <= 1
    around = slice(30_000 - RATE // 20, 30_040 + RATE // 20)
    assert np.square(out[around]).sum() > 0.999 * np.square(out).sum()


@pytest.mark.parametrize("name", ["low_pass", "high_pass", "telephone", "equalise"])
def test_what_is_filtered_at_the_end_is_not_heard_at_the_start(name):
    out = WAVEFORM[name](click(8000, at=7960), np.random.default_rng(3))
    assert np.abs(out[:4000]).max() < 1e-4 * np.abs(out).max()


@pytest.mark.parametrize("soft", [False, True])
def test_clipping_only_lowers(soft):
    samples = white(5000)
    out = waveform.clip(samples, -12, soft=soft)
    threshold = np.abs(samples).max() * 10 ** (-12 / 20)
    assert (np.abs(out) <= np.abs(samples) * (1 + 1e-6)).all()
    assert np.abs(out).max() <= threshold * (1 + 1e-6)
    if not soft:
        inside = np.abs(samples) < 0.999 * threshold
        np.testing.assert_array_equal(out[inside], samples[inside])


@pytest.mark.parametrize("factor", [0.8, 0.95, 1.037, 1.25])
def test_speed_moves_a_tone_by_its_factor(factor):
    out = waveform.change_speed(tone(1000, 5, RATE), factor)
    assert pitch(out) == pytest.approx(1000 * factor, rel=1e-4)
    assert abs(len(out) - 80_000 / factor) <= 1


@pytest.mark.parametrize("sample_rate", [8_000, 16_000, 22_050, 48_000])
@pytest.mark.parametrize("name", waveform.CODECS)
def test_codecs_keep_time_and_length(name, sample_rate):
    samples = make_sound("birds", 0, sample_rate=sample_rate)[: 2 * sample_rate]
    out = waveform.codec(samples, sample_rate, name, 24_000)
    assert out.shape == samples.shape
    assert abs(lag(samples, out)) <= sample_rate / 1000
    assert not np.allclose(out, samples, atol=1e-4)


@pytest.mark.parametrize("name", waveform.CODECS)
def test_codecs_keep_the_end_and_what_is_beyond_full_scale(name):
    samples = 4 * tone(600, 1.0, RATE)
    out = waveform.codec(samples, RATE, name, 32_000)
    assert np.corrcoef(samples[-1600:], out[-1600:])[0, 1] > 0.95
    assert np.abs(out).max() == pytest.approx(2, rel=0.1)


def test_codecs_say_what_they_do_not_take():
    with pytest.raises(UsageError, match=r"called 'flac'; use one of opus, mp3, aac"):
        waveform.codec(white(100), RATE, "flac", 16_000)
    with pytest.raises(UsageError, match=r"5 bits/s; give 6,000 to 128,000"):
        waveform.codec(white(100), RATE, "mp3", 5)


# --- spectrogram --------------------------------------------------------------------------------------------


SPECTROGRAM = {
    "shift_bands": lambda b, rng: spectrogram.shift_bands(b, rng.integers(-9, 10, len(b))),
    "equalise": lambda b, rng: spectrogram.equalise(
        b, rng.uniform(-9, 9, (len(b), b.shape[2])).astype(np.float32)
    ),
    "low_pass": lambda b, rng: spectrogram.low_pass(b, rng.integers(0, 9, len(b))),
    "add_power": lambda b, rng: spectrogram.add_power(b, b[rng.permutation(len(b))]),
    "add_background": lambda b, rng: spectrogram.add_background(
        b, b[rng.permutation(len(b))], rng.uniform(0, 40, len(b))
    ),
    "add_noise": lambda b, rng: spectrogram.add_noise(
        b, rng.standard_exponential(b.shape, dtype=np.float32), rng.uniform(0, 40, len(b))
    ),
    "mask_time": lambda b, rng: spectrogram.mask_time(b, *rng.integers(0, 9, (2, len(b), 2))),
    "mask_bands": lambda b, rng: spectrogram.mask_bands(b, *rng.integers(0, 9, (2, len(b), 2))),
    "mixup": lambda b, rng: spectrogram.mixup(
        b, rng.beta(0.4, 0.4, len(b)).astype(np.float32), rng.permutation(len(b))
    ),
}


@settings(max_examples=25)
@given(
    hnp.arrays(
        np.float32,
        st.tuples(st.integers(0, 4), st.integers(1, 12), st.integers(1, 8)),
        elements=st.floats(-100, 60, width=32) | st.just(-100.0),
    ),
    st.integers(0, 2**32),
)
@pytest.mark.parametrize("change", SPECTROGRAM.values(), ids=SPECTROGRAM)
def test_spectrogram_changes_keep_shape_and_leave_their_input(change, batch, seed):
    before = batch.copy()
    out = change(batch, np.random.default_rng(seed))
    assert out.shape == batch.shape
    assert out.dtype == np.float32
    assert np.isfinite(out).all()
    assert (out >= SILENCE).all()
    assert not np.shares_memory(out, batch)
    np.testing.assert_array_equal(batch, before)
    np.testing.assert_array_equal(out, change(batch, np.random.default_rng(seed)))


@pytest.mark.parametrize("change", SPECTROGRAM.values(), ids=SPECTROGRAM)
def test_silent_spectrograms_stay_silent(change):
    batch = np.full((3, 7, 5), SILENCE, np.float32)
    np.testing.assert_array_equal(change(batch, np.random.default_rng(0)), batch)


@pytest.fixture(scope="module")
def windows():
    """Windows of four sounds, of different loudness, the last with silence behind it: (4, 247, 64)."""
    sounds = [np.resize(make_sound(family, 0, sample_rate=RATE), 80_000) for family in ("birds", "rain")]
    sounds.append(tone(440, 5, RATE, amplitude=0.01))
    sounds.append(click())
    batch = MEL(np.stack(sounds).astype(np.float32))
    batch.setflags(write=False)
    return batch


def test_bands_are_shifted_and_the_edge_repeated(windows):
    out = spectrogram.shift_bands(windows, np.array([2, -3, 0, 99]))
    np.testing.assert_array_equal(out[0, :, 2:], windows[0, :, :-2])
    np.testing.assert_array_equal(out[0, :, :2], windows[0, :, :1].repeat(2, axis=1))
    np.testing.assert_array_equal(out[1, :, :-3], windows[1, :, 3:])
    np.testing.assert_array_equal(out[1, :, -3:], windows[1, :, -1:].repeat(3, axis=1))
    np.testing.assert_array_equal(out[2], windows[2])
    np.testing.assert_array_equal(out[3], windows[3, :, :1].repeat(64, axis=1))


@pytest.mark.parametrize("tempo", [0.5, 0.9, 1.0, 1.25, 2.0])
def test_tempo_moves_what_happens_in_time(tempo):
    ramp = np.linspace(-50, 0, 201, dtype=np.float32)[:, None].repeat(3, axis=1)
    out = spectrogram.stretch(ramp, tempo)
    assert len(out) == int(200 / tempo) + 1
    np.testing.assert_allclose(out[:, 1], -50 + np.arange(len(out)) * tempo / 4, atol=1e-4)
    np.testing.assert_array_equal(spectrogram.stretch(np.stack([ramp] * 2), tempo)[1], out)


@pytest.mark.parametrize("n_frames", [0, 1, 2])
def test_tempo_of_tiny_windows(n_frames):
    for tempo in (0.9, 1.1):
        assert len(spectrogram.stretch(np.zeros((n_frames, 4), np.float32), tempo)) == min(
            n_frames, 2 if tempo < 1 else 1
        )


def test_equalising_leaves_silence_alone(windows):
    gains = np.linspace(-8, 8, 64, dtype=np.float32)[None].repeat(4, axis=0)
    out = spectrogram.equalise(windows, gains)
    silent = windows <= SILENCE
    assert silent.any()
    assert (out[silent] == SILENCE).all()
    np.testing.assert_allclose(out[1], windows[1] + gains[1], atol=1e-4)


def test_powers_are_added(windows):
    np.testing.assert_allclose(spectrogram.add_power(windows, windows)[:2], windows[:2] + 3.0103, atol=1e-3)
    nothing = np.full_like(windows, SILENCE)
    np.testing.assert_allclose(spectrogram.add_power(windows, nothing), windows, atol=1e-4)
    np.testing.assert_allclose(spectrogram.add_power(nothing, windows), windows, atol=1e-4)


def test_background_lies_as_far_below_as_asked(windows):
    background = np.full_like(windows, SILENCE)
    background[:, 3, 5] = -70
    batch = np.full_like(windows, SILENCE)
    batch[:, 100, 50] = np.array([-80, -20, 0, 30])
    out = spectrogram.add_background(batch, background, [10, 5, 30, 60])
    np.testing.assert_allclose(out[:, 3, 5], [-90, -25, -30, -30], atol=1e-3)
    np.testing.assert_allclose(out[:, 100, 50], batch[:, 100, 50], atol=1e-4)
    assert ((out > SILENCE).sum(axis=(1, 2)) == 2).all()


@pytest.mark.parametrize("snr_db", [0, 10, 40])
def test_hiss_is_added_at_the_ratio_asked_for(windows, snr_db):
    rng = np.random.default_rng(0)
    noise = 7 * rng.standard_exponential(windows.shape, dtype=np.float32)
    out = spectrogram.add_noise(windows, noise, np.full(4, snr_db))
    for before, after in zip(10 ** (windows / 10.0), 10 ** (out / 10.0), strict=True):
        frames = before.mean(axis=1)
        active = frames >= 1e-4 * frames.max()
        assert db(frames[active].mean() / (after - before).mean()) == pytest.approx(snr_db, abs=0.1)


def test_texture_is_that_of_white_noise():
    texture = spectrogram.noise_texture(MEL, 500, np.random.default_rng(0))
    other = MEL(waveform.coloured_noise(5 * RATE, 0, np.random.default_rng(1))[None])[0]
    assert texture.shape == (500, 64)
    np.testing.assert_allclose(texture.mean(axis=0), 1, rtol=1e-4)
    spread = db(texture).std(axis=0)
    assert np.abs(spread - other.std(axis=0)).mean() < 0.3
    assert spread[:10].mean() > 2 * spread[-10:].mean()  # wide bands hold more, so theirs is steadier


def test_hiss_has_the_slope_of_noise_of_its_colour():
    centres = spectrogram.band_centres(MEL)
    assert (np.diff(centres) > 0).all()
    pink = MEL(waveform.coloured_noise(20 * RATE, 1, np.random.default_rng(0))[None])[0]
    level = db((10 ** (pink / 10.0)).mean(axis=0))
    expected = -db(centres / centres[20])
    np.testing.assert_allclose(level[5:60] - level[20], expected[5:60], atol=0.8)


@pytest.mark.parametrize("name", ["mask_time", "mask_bands", "low_pass"])
def test_masks_only_lower(windows, name):
    out = SPECTROGRAM[name](windows, np.random.default_rng(0))
    assert (out <= windows).all()
    assert ((out == windows) | (out == SILENCE)).all()
    assert not np.array_equal(out, windows)


def test_masks_lie_where_they_are_put(windows):
    batch = np.maximum(windows, -90)
    starts, widths = np.array([[3, 20]] * 4), np.array([[5, 0]] * 4)
    assert np.flatnonzero(spectrogram.mask_time(batch, starts, widths)[1, :, 9] == SILENCE).tolist() == [
        3,
        4,
        5,
        6,
        7,
    ]
    assert np.flatnonzero(spectrogram.mask_bands(batch, starts, widths)[1, 9] == SILENCE).tolist() == [
        3,
        4,
        5,
        6,
        7,
    ]
    assert np.flatnonzero(spectrogram.low_pass(batch, np.full(4, 62))[1, 9] == SILENCE).tolist() == [62, 63]


def relative(level):
    return np.maximum(level - level.max(), -70)


def test_mixup_goes_by_share_at_one_peak(windows):
    partner = np.array([1, 2, 3, 0])
    out = spectrogram.mixup(windows, np.array([1, 0.5, 1, 0], np.float32), partner)
    np.testing.assert_array_equal(out[[0, 2]], windows[[0, 2]])
    np.testing.assert_allclose(relative(out[3]), relative(windows[0]), atol=1e-3)
    peak = max(windows[1].max(), windows[2].max())
    parts = [10 ** ((windows[row] - windows[row].max() + peak) / 10.0) for row in (1, 2)]
    loud = out[1] > peak - 60
    np.testing.assert_allclose(out[1][loud], db(0.5 * parts[0] + 0.5 * parts[1])[loud], atol=1e-2)


def test_mixup_with_silence_leaves_the_sound(windows):
    batch = windows.copy()
    batch[0] = SILENCE
    out = spectrogram.mixup(batch, np.array([0.5, 0.5, 1, 1], np.float32), np.array([1, 0, 2, 3]))
    for row in (0, 1):
        np.testing.assert_allclose(relative(out[row]), relative(windows[1]), atol=1e-3)


# --- choice -------------------------------------------------------------------------------------------------

OF_SAMPLES = "speed room noise equaliser high_pass low_pass telephone clip codec gain".split()
OF_SPECTROGRAMS = "bands background hiss tone".split()
OF_MASKS = "cutoff time_masks band_masks".split()


def only(*names):
    """Settings that always make these changes and no others."""
    always = {name: replace(getattr(Augmentation(), name), probability=1) for name in names}
    return replace(Augmentation.none(), **always)


def test_every_setting_is_of_one_stage():
    assert [field.name for field in fields(Augmentation)] == [*OF_SAMPLES, *OF_SPECTROGRAMS, *OF_MASKS]


def test_none_changes_nothing(windows):
    augmenter, rng = Augmenter(Augmentation.none(), MEL), np.random.default_rng(0)
    for samples in (white(5000), np.zeros(0, np.float32)):
        out = augmenter.waveform(samples, rng)
        np.testing.assert_array_equal(out, samples)
        assert not np.shares_memory(out, samples)
    for change in (augmenter.spectrogram, augmenter.mask):
        out = change(windows, rng)
        np.testing.assert_array_equal(out, windows)
        assert not np.shares_memory(out, windows)


@pytest.mark.parametrize("name", OF_SAMPLES)
def test_each_change_of_samples_is_made_when_drawn(name):
    samples = make_sound("rain", 1, sample_rate=RATE)[:40_000]
    before = samples.copy()
    augmenter = Augmenter(only(name), MEL)
    out = augmenter.waveform(samples, np.random.default_rng(0))
    assert out.dtype == np.float32
    assert out.shape != samples.shape if name == "speed" else not np.allclose(out, samples, atol=1e-3)
    np.testing.assert_array_equal(samples, before)
    np.testing.assert_array_equal(out, augmenter.waveform(samples, np.random.default_rng(0)))


@pytest.mark.parametrize("name", [*OF_SPECTROGRAMS, *OF_MASKS])
def test_each_change_of_spectrograms_is_made_when_drawn(windows, name):
    augmenter = Augmenter(only(name), MEL)
    change = augmenter.mask if name in OF_MASKS else augmenter.spectrogram
    drawn = [change(windows, np.random.default_rng(seed)) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])
    assert not np.array_equal(drawn[0], windows)
    assert drawn[0].shape == windows.shape
    assert drawn[0].dtype == np.float32


ALL = replace(only(*OF_SAMPLES, *OF_SPECTROGRAMS, *OF_MASKS), codec=Augmentation.none().codec)


@settings(max_examples=40)
@given(st.integers(0, 3000), st.booleans(), st.integers(0, 2**32))
def test_all_changes_of_samples_at_once(n, silent, seed):
    samples = np.zeros(n, np.float32) if silent else white(n, seed=seed)
    augmenter = Augmenter(ALL, MEL)
    out = augmenter.waveform(samples, np.random.default_rng(seed))
    assert np.isfinite(out).all()
    assert n / 1.1 - 1 <= len(out) <= n / 0.9 + 1
    assert silent <= (not out.any())
    np.testing.assert_array_equal(out, augmenter.waveform(samples, np.random.default_rng(seed)))


@settings(max_examples=40)
@given(st.integers(0, 4), st.integers(1, 30), st.booleans(), st.integers(0, 2**32))
def test_all_changes_of_spectrograms_at_once(n, n_frames, silent, seed):
    rng = np.random.default_rng(seed)
    levels = np.full((n, n_frames, 64), SILENCE) if silent else rng.normal(-20, 30, (n, n_frames, 64))
    batch = np.maximum(levels, SILENCE).astype(np.float32)
    augmenter = Augmenter(ALL, MEL)
    out = augmenter.mask(augmenter.spectrogram(batch, rng), rng)
    assert out.shape == batch.shape
    assert np.isfinite(out).all()
    assert (out >= SILENCE).all()
    assert silent <= bool((out == SILENCE).all())


def test_a_probability_is_how_often():
    rng = np.random.default_rng(0)
    half = Draw(0.3, 2, 5)
    values = [value for _ in range(2000) if (value := half.one(rng)) is not None]
    rows, more = half.rows(2000, rng)
    for drawn in (values, more):
        assert len(drawn) == pytest.approx(600, abs=80)
        assert min(drawn) >= 2
        assert max(drawn) <= 5
        assert np.mean(drawn) == pytest.approx(3.5, abs=0.15)
    assert len(rows) == len(more) == len(set(rows.tolist()))


@pytest.mark.parametrize("n", [500, 30_000])
def test_noises_that_are_given_are_used(n):
    hum = tone(100, 1, RATE)
    augmenter = Augmenter(only("noise"), MEL, noises=[hum])
    samples = white(n)
    added = augmenter.waveform(samples, np.random.default_rng(2)) - samples
    spectrum = np.square(np.abs(np.fft.rfft(added)))
    near = slice(round(60 * n / RATE), round(150 * n / RATE) + 1)
    assert spectrum[near].sum() > 0.95 * spectrum.sum()


def test_responses_that_are_given_are_used():
    echo = np.zeros(2000, np.float32)
    echo[[0, 1500]] = 1, 0.5
    out = Augmenter(only("room"), MEL, responses=[echo]).waveform(click(), np.random.default_rng(0))
    np.testing.assert_allclose(out[31_500:31_540] * 2, out[30_000:30_040], atol=1e-6)


def test_noises_that_are_given_start_anywhere():
    ramp = np.arange(1, 50_001, dtype=np.float32)
    augmenter, samples = (
        Augmenter(replace(only("noise"), noise=Draw(1, 0, 0)), MEL, noises=[ramp]),
        white(4000),
    )
    levels = set()
    for seed in range(20):
        added = augmenter.waveform(samples, np.random.default_rng(seed)) - samples
        levels.add(round(float(added[0] / added[-1]), 3))
    assert len(levels) > 10


def test_both_ways_of_clipping_are_drawn():
    augmenter = Augmenter(only("clip"), MEL)
    outs = [augmenter.waveform(white(4000), np.random.default_rng(seed)) for seed in range(20)]
    n_flat = [np.count_nonzero(np.abs(out) == np.abs(out).max()) for out in outs]
    assert min(n_flat) == 1
    assert max(n_flat) > 1


def test_hiss_is_between_white_and_brown():
    batch = np.full((100, 50, 64), -90, np.float32)
    augmenter = Augmenter(replace(only("hiss"), hiss=Draw(1, -60, -60)), MEL)
    level = augmenter.spectrogram(batch, np.random.default_rng(0)).mean(axis=1)
    octaves = np.log2(spectrogram.band_centres(MEL))
    slopes = [np.polyfit(octaves[5:], row[5:], 1)[0] for row in level]
    assert min(slopes) == pytest.approx(-6, abs=0.5)
    assert max(slopes) == pytest.approx(0, abs=0.5)


def test_masks_are_drawn_within_their_range():
    batch = np.zeros((500, 70, 64), np.float32)
    out = Augmenter(only("time_masks"), MEL).mask(batch, np.random.default_rng(0))
    n_masked = (out[:, :, 0] == SILENCE).sum(axis=1)
    assert n_masked.max() <= 20
    assert n_masked.max() >= 17
    assert n_masked.mean() == pytest.approx(2 * 4.6, abs=1.5)
    assert (out == SILENCE).any(axis=(0, 2)).all()


def test_a_background_is_another_window():
    batch = np.full((3, 5, 64), SILENCE, np.float32)
    batch[[0, 1, 2], :, [3, 20, 50]] = -10
    out = Augmenter(only("background"), MEL).spectrogram(batch, np.random.default_rng(0))
    assert ((out > SILENCE).any(axis=1).sum(axis=1) == 2).all()


def test_one_window_alone_has_no_background(windows):
    augmenter = Augmenter(only("background"), MEL)
    np.testing.assert_array_equal(augmenter.spectrogram(windows[:1], np.random.default_rng(0)), windows[:1])


def test_settings_that_cannot_be_meant_are_refused():
    with pytest.raises(UsageError, match=r"probability of 1.5 cannot be; give one in 0 … 1"):
        Draw(1.5, 0, 1)
    for low, high in ((2, 1), (0, np.inf), (np.nan, 1)):
        with pytest.raises(UsageError, match="nothing can be drawn from"):
            Draw(0.5, low, high)
    with pytest.raises(UsageError, match="speed cannot be drawn from 0 on; give a range above 0"):
        Augmentation(speed=Draw(0.1, 0, 1))
    with pytest.raises(UsageError, match="codec is drawn in bits/s; give a range within 6,000"):
        Augmentation(codec=Draw(0.1, 16, 32))
