"""Sounds that people make: bells, drums, engines, plucked strings, sirens, voices.

One function a family: the settings of a take → float64 of shape (n,).
"""

from __future__ import annotations

import numpy as np

from echoic.audio.synthesis import instruments
from echoic.audio.synthesis.signals import (
    Float64,
    filtered,
    highpass,
    lowpass,
    oscillate,
    place,
    resonance,
    reverberate,
    wander,
)
from echoic.audio.synthesis.takes import Take

__all__ = ["bells", "drums", "engines", "plucks", "sirens", "voices"]

# One bar of sixteen steps; "o" an open hat, "x" a blow, "-" a soft one.
_BEATS: tuple[dict[str, str], ...] = (
    {"kick": "x.......x.x.....", "snare": "....x.......x...", "hat": "x.x.x.x.x.x.x.x."},
    {"kick": "x...x...x...x...", "clap": "....x.......x...", "hat": "..o...o...o...o."},
    {"kick": "x..x..x....x..x.", "snare": "....x..-.-..x..-", "hat": "x-x-x-x-x-x-x-x-"},
    {"kick": "x.....x...x.....", "snare": "........x.......", "hat": "x.xxx.x.x.x.x.xx"},
    {"kick": "x...x...x...x...", "snare": "x--xx--xx-x-xxxx"},
    {"kick": "x..-..x.x..-..x.", "tom": "..x..x....x..x.x", "hat": "x.x.x.x.x.x.x.x."},
    {"tom": "xx.xx.x.xx.xx.xx", "kick": "x...x...x...x..."},
    {"kick": "x.x.......xx....", "snare": "....x..x.x..x...", "hat": "x.x.x.x.x.o.x.x."},
    {"kick": "x.....x.........", "clap": "........x.......", "hat": "x..x..x.x..x..xx"},
    {
        "kick": "x.......x.......",
        "snare": "....x.......x.xx",
        "tom": "...........x.x..",
        "hat": "x-x.x-x.x-x.x-o.",
    },
)


def bells(take: Take) -> Float64:
    sr, rng = take.sample_rate, take.rng
    kind = take.choose(("church", "tubular", "handbell", "church", "glockenspiel"))
    low, high = {
        "church": (420, 800),
        "tubular": (520, 1000),
        "glockenspiel": (800, 1300),
        "handbell": (600, 1100),
    }[kind]
    pitch, t60 = take.pitch(low, high), take.between(3.0, 8.0)
    hardness, seconds = take.between(0.45, 0.95), take.between(1.6, 5.6)
    gesture = take.choose(("once", "peal", "tune", "toll", "two"))
    n = take.samples(seconds)
    steps, gaps = {
        "once": ([0], 1.0),
        "peal": ([12, 11, 9, 7, 5, 4, 2, 0], 0.4),
        "tune": ([4, 0, 2, -5, -5, 2, 4, 0], 0.62),
        "toll": ([0, 0, 0], 1.5),
        "two": ([4, 0, 4, 0, 4, 0, 4, 0], 0.5),
    }[gesture]
    out = np.zeros(n)
    for strike, step in enumerate(steps):
        at = take.samples(strike * gaps * (1 + 0.02 * rng.uniform(-1, 1)))
        if at < n - sr // 10:
            note = instruments.bell(
                pitch * 2 ** (step / 12), n - at, sr, rng, kind=kind, t60=t60, hardness=hardness
            )
            place(out, note, at, rng.uniform(0.75, 1.0))
    return reverberate(out, sr, rng, t60=take.between(0.4, 2.5), wet=take.between(0.05, 0.4), tail=0.2)


def drums(take: Take) -> Float64:
    sr, rng = take.sample_rate, take.rng
    beat = take.choose(_BEATS)
    step = 60 / take.between(78, 165) / 4
    swing = take.between(0.0, 0.28)
    low, head = take.pitch(42, 68), take.pitch(140, 240)
    n_steps = 16 if take.share() < 0.5 or step > 0.16 else 32
    short = round(0.6 * sr)
    blows = {
        "kick": instruments.kick(short, sr, rng, pitch=low, t60=take.between(0.25, 0.7)),
        "snare": instruments.snare(short, sr, rng, pitch=head, t60=take.between(0.12, 0.4)),
        "clap": instruments.clap(short, sr, rng),
        "tom": instruments.tom(short, sr, rng, pitch=2 * low),
        "hat": 0.4 * instruments.hat(short, sr, rng, t60=take.between(0.05, 0.12)),
    }
    open_hat = 0.4 * instruments.hat(short, sr, rng, t60=0.5)
    out = np.zeros(take.samples(n_steps * step + 0.25))
    for part, pattern in beat.items():
        for at in range(n_steps):
            mark = pattern[at % 16]
            if mark == ".":
                continue
            late = (at + (swing if at % 2 else 0.0)) * step + rng.uniform(0, 0.006)
            blow = open_hat if mark == "o" else blows[part]
            place(out, blow, take.samples(late), (0.4 if mark == "-" else 1.0) * rng.uniform(0.8, 1.0))
    out = np.tanh(take.between(0.6, 1.6) * out)
    return reverberate(out, sr, rng, t60=take.between(0.2, 1.0), wet=take.between(0.03, 0.3), tail=0.15)


def engines(take: Take) -> Float64:
    sr, rng = take.sample_rate, take.rng
    drive = take.choose(("idle", "revving", "passing", "pulling away", "cruising"))
    cylinders = take.choose((1, 2, 3, 4, 6, 8))
    firing, seconds = take.pitch(22, 75), take.between(2.2, 5.8)
    rough, pipe = take.between(0.1, 0.5), take.pitch(90, 320)
    n = take.samples(seconds)
    time = np.arange(n) / sr
    share = time / seconds
    speed = {
        "idle": np.ones(n),
        "revving": 1 + 2.2 * np.clip(np.sin(2 * np.pi * np.round(seconds / 1.8) * share - 0.6), 0, 1) ** 0.7,
        "passing": 1.9 - 0.45 / (1 + np.exp(-9 * (share - 0.5))),
        "pulling away": 0.9 + 1.5 * ((2.2 * share) % 1.0) + 0.5 * share,
        "cruising": np.full(n, 1.7),
    }[drive]
    speed = filtered(speed - speed[0], sr, lambda f: lowpass(f, 5, 1)) + speed[0]
    speed = speed * (1 + 0.04 * rough * (wander(rng, n, sr, 9) - 0.5))
    # One turn of the whole engine, each cylinder a little different: that gives the half orders.
    turn = np.zeros(4096)
    for cylinder in range(cylinders):
        at = (cylinder + 0.25 * rough * rng.uniform(-1, 1)) / cylinders * 4096
        ago = (np.arange(4096) - at) % 4096 / (4096 / cylinders)
        turn += (1 - rough * rng.uniform()) * np.exp(-5 * ago) * np.sin(2 * np.pi * 1.5 * ago)
    spectrum = np.fft.rfft(turn)[1:400]
    position = np.cumsum(firing * speed / cylinders) / sr % 1.0 * 4096
    orders = np.zeros(2049, np.complex128)
    orders[1:400] = spectrum
    wave = np.fft.irfft(orders, 4096)
    pulses = np.interp(position, np.arange(4097), np.append(wave, wave[0]))
    pulses /= pulses.std() + 1e-12
    air = filtered(rng.standard_normal(n), sr, lambda f: highpass(f, 150) * lowpass(f, 1600))
    out = pulses + take.between(0.2, 0.8) * air * np.clip(pulses, 0, 2) + 0.15 * air
    out = np.tanh(
        filtered(
            out,
            sr,
            lambda f: (
                (0.5 + 1.5 * resonance(f, pipe, 80) + resonance(f, 3.1 * pipe, 200)) * lowpass(f, 1800, 2)
            ),
        )
    )
    if drive == "passing":
        out *= 0.08 + np.exp(-(((share - 0.5) / 0.17) ** 2))
    return reverberate(out, sr, rng, t60=take.between(0.2, 0.8), wet=take.between(0.05, 0.25), tail=0.0)


def plucks(take: Take) -> Float64:
    sr, rng = take.sample_rate, take.rng
    gesture = take.choose(("note", "strum", "arpeggio", "run", "tremolo"))
    pitch, brightness = take.pitch(78, 220), take.between(0.1, 0.6)
    t60, pick = take.between(1.0, 3.6), take.between(0.06, 0.4)
    minor, seconds = take.share() < 0.4, take.between(1.0, 4.5)
    steps, gap = {
        "note": ([0], 1.0),
        "strum": ([0, 7, 12, 15 if minor else 16, 19, 24], 0.022),
        "arpeggio": ([0, 7, 12, 15 if minor else 16, 19, 16 - minor, 12, 7] * 3, 0.19),
        "run": ([0, 2, 4 - minor, 7, 9, 12, 14, 16 - minor, 19, 21, 24], 0.12),
        "tremolo": ([12] * 9 + [11] * 9 + [7] * 20, 0.09),
    }[gesture]
    out = np.zeros(take.samples(seconds))
    for index, step in enumerate(steps):
        at = take.samples(0.02 + index * gap * (1 + 0.03 * rng.uniform(-1, 1)))
        if at > len(out) - sr // 5:
            break
        size = min(len(out) - at, take.samples(0.4 * t60 if len(steps) > 6 else t60))
        note = instruments.string(
            pitch * 2 ** (step / 12),
            size,
            sr,
            rng,
            t60=t60,
            brightness=brightness,
            pick=pick,
            stiffness=0.002,
        )
        place(out, note, at, rng.uniform(0.7, 1.0))
    return reverberate(out, sr, rng, t60=take.between(0.3, 1.6), wet=take.between(0.03, 0.3), tail=0.25)


def sirens(take: Take) -> Float64:
    sr, rng = take.sample_rate, take.rng
    kind = take.choose(("wail", "yelp", "two tones", "beeper", "air raid"))
    base, seconds = take.pitch(480, 950), take.between(2.0, 5.9)
    speed, phase = take.between(0.75, 1.35), take.share()
    n = take.samples(seconds)
    time = np.arange(n) / sr * speed
    level: Float64 = np.ones(n)
    if kind == "wail":
        pitch = base * (1.5 - 0.6 * np.cos(2 * np.pi * (0.3 * time + phase)))
    elif kind == "yelp":
        pitch = base * (1 + 1.0 * np.abs(((3.3 * time + phase) % 1.0) - 0.15))
    elif kind == "two tones":
        pitch = np.where((1.0 * time + phase) % 1.0 < 0.5, base * 0.75, base)
    elif kind == "beeper":
        pitch = np.full(n, base * 2.1)
        level = ((3.1 * time) % 1.0 < 0.55).astype(np.float64)
    else:
        pitch = 0.75 * base * (0.35 + 0.65 * np.clip(1.6 * np.sin(np.pi * (time / speed / seconds)), 0, 1))
    pitch = filtered(pitch - pitch[0], sr, lambda f: lowpass(f, 40, 1)) + pitch[0]
    level = filtered(level, sr, lambda f: lowpass(f, 120, 1))
    steep = take.between(0.7, 1.3)
    harmonics = 1 / np.arange(1, 30) ** steep
    if kind in ("beeper", "air raid"):
        harmonics[1::2] *= 0.15
    out = oscillate(pitch, harmonics, n, sr)
    horn = take.pitch(900, 2600)
    out = filtered(out, sr, lambda f: 0.35 + 1.2 * resonance(f, horn, 1200)) * level
    if take.share() < 0.4:  # it drives by
        out *= 0.25 + 0.75 * np.exp(-(((np.arange(n) / n - phase) / 0.35) ** 2))
    street = filtered(rng.standard_normal(n), sr, lambda f: highpass(f, 60) * lowpass(f, 700))
    out = out / np.abs(out).max() + take.between(0.002, 0.012) * street / street.std()
    return reverberate(out, sr, rng, t60=take.between(0.3, 2.4), wet=take.between(0.1, 0.5), tail=0.1)


def voices(take: Take) -> Float64:
    sr, rng = take.sample_rate, take.rng
    manner = take.choose(("melody", "calls", "babble", "laugh", "choir"))
    high = take.share()
    pitch, tract = 95 * 2.6**high, 1 + 0.25 * high  # a man … a woman or a child
    seconds = take.between(1.2, 4.8)
    n = take.samples(seconds)
    time = np.arange(n) / sr
    hall, wet = take.between(0.2, 1.2), take.between(0.03, 0.25)
    if manner == "babble":
        out = instruments.babble(n, sr, rng, pitch=pitch, tract=tract)
    elif manner == "laugh":
        period = rng.uniform(0.17, 0.26)
        beat = np.sin(2 * np.pi * time / period)
        gate = np.clip(beat, 0, 1) ** 0.6
        bend = pitch * 1.3 * (1.15 - 0.35 * time / seconds) * (1 + 0.12 * gate)
        puffs = filtered(rng.standard_normal(n), sr, lambda f: resonance(f, 1300 * tract, 1500))
        throat = _throat(str(rng.choice(list("aeo"))), np.zeros(1), tract)
        out = instruments.sing(bend, gate, throat, sr, rng, breath=0.12)
        out += 0.05 * puffs * np.clip(-beat, 0, 1)
    else:
        held = {"melody": 0.42, "calls": 0.75, "choir": 0.9}[manner] * rng.uniform(0.85, 1.15)
        n_notes = max(2, round(seconds / held))
        onsets = np.arange(n_notes) * seconds / n_notes
        vowels = "".join(rng.permutation(list("aaeeio" * n_notes))[: 2 * n_notes])
        steps = rng.choice([-3, 0, 2, 4, 5, 7], n_notes)
        if manner == "calls":  # each glides from one vowel to the next and its pitch falls
            throat = _throat(
                vowels, np.sort(np.concatenate([onsets + 0.08, onsets + 0.55 * seconds / n_notes])), tract
            )
            steps = np.zeros(n_notes)
        else:
            throat = _throat(vowels[:n_notes], onsets + 0.06, tract, held=seconds / n_notes - 0.1)
        note = np.minimum((time * n_notes / seconds).astype(np.int64), n_notes - 1)
        within = time - onsets[note]
        gate = np.clip(np.minimum(within / 0.05, (seconds / n_notes - 0.04 - within) / 0.12), 0, 1)
        slide = 1.2 - 0.35 * within * n_notes / seconds if manner == "calls" else 1.0
        pitches = filtered(steps[note] - steps[0], sr, lambda f: lowpass(f, 8, 1)) + steps[0]
        chord = (0, 0, 4, 7, 12) if manner == "choir" else (0,)
        out = np.zeros(n)
        for step in chord:
            tuning = 2 ** ((pitches + step + 0.08 * rng.standard_normal()) / 12)
            track = _vibrato(pitch * tuning * slide, within, rng)
            wide = throat * np.array([1.0] + 4 * [rng.uniform(0.95, 1.05)])
            out += instruments.sing(track, gate, wide, sr, rng)
        if manner == "choir":
            hall, wet = 2.0, 0.45
    return reverberate(out, sr, rng, t60=hall, wet=wet, tail=0.15)


def _throat(vowels: str, at: Float64, tract: float, *, held: float = 0.0) -> Float64:
    """Time the formants of vowels for ``sing``: each from its time in ``at`` on, for ``held`` seconds."""
    rows = []
    for vowel, start in zip(vowels, at, strict=True):
        formants = tract * np.array(instruments.VOWELS[vowel])
        rows += [(start, *formants), (start + held, *formants)]
    return np.array(rows)


def _vibrato(pitch: float, time: Float64, rng: np.random.Generator) -> Float64:
    rate, start = rng.uniform(4.8, 6.2), rng.uniform(0, 2 * np.pi)
    depth = 0.014 * np.clip((time - 0.25) / 0.5, 0, 1)
    return np.asarray(pitch * (1 + depth * np.sin(2 * np.pi * rate * time + start)))
