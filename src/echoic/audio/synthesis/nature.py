"""Sounds of nature: birds, bubbles, rain, wind. One function a family: the settings of a take → (n,).

References
----------
van den Doel, "Physically based models for liquid sounds", ACM TAP 2(4), 2005 (the bubbles).
"""

from __future__ import annotations

from functools import partial

import numpy as np

from echoic.audio.synthesis.signals import (
    Float64,
    decay,
    filtered,
    highpass,
    lowpass,
    oscillate,
    place,
    resonance,
    reverberate,
    sweep_filter,
    wander,
)
from echoic.audio.synthesis.takes import Take

__all__ = ["birds", "bubbles", "rain", "wind"]


def birds(take: Take) -> Float64:
    sr, rng = take.sample_rate, take.rng
    song = take.choose(("whistle", "trill", "two notes", "warble", "twitter"))
    base, seconds = take.pitch(2000, 4600), take.between(0.8, 5.0)
    rate = take.between(0.8, 1.3)
    base = min(base, 0.26 * sr)
    n = take.samples(seconds)
    out = np.zeros(n)
    at = 0.05
    while at < seconds - 0.15:
        # Each syllable: its length, the gap after it, and its pitch contour as factors on the base.
        syllables: list[tuple[float, float, list[float]]]
        if song == "whistle":
            syllables = [(0.32, 0.06, [0.9, 1.0, 0.98]), (0.45, 0.1, [1.3, 1.22, 0.85])]
        elif song == "trill":
            syllables = [(0.045, 0.022, [1.35, 0.9])] * int(rng.integers(9, 18))
        elif song == "two notes":
            syllables = [(0.17, 0.05, [1.2, 1.22]), (0.2, 0.07, [0.93, 0.9])] * int(rng.integers(2, 4))
        elif song == "warble":
            contours = rng.uniform(0.75, 1.45, (int(rng.integers(5, 9)), 4))
            syllables = [(rng.uniform(0.07, 0.2), rng.uniform(0.01, 0.05), list(c)) for c in contours]
        else:
            syllables = [(0.07, 0.05, [1.0, 1.5, 0.8])] * int(rng.integers(3, 7))
        for length, gap, contour in syllables:
            size = take.samples(length / rate)
            curve = np.interp(np.linspace(0, len(contour) - 1, size), range(len(contour)), contour)
            if song == "twitter":
                curve *= 1 + 0.06 * np.sin(2 * np.pi * 90 * np.arange(size) / sr)
            chirp = oscillate(base * curve, np.array([1.0, 0.12, 0.04]), size, sr)
            place(out, chirp * np.hanning(size) ** 0.7, take.samples(at), rng.uniform(0.7, 1.0))
            at += (length + gap) / rate
        at += rng.uniform(0.2, 0.6)
    leaves = filtered(rng.standard_normal(n), sr, lambda f: resonance(f, 1500, 3000))
    out += take.pitch(0.0015, 0.006) * leaves * (0.5 + wander(rng, n, sr, 1.5))
    return reverberate(out, sr, rng, t60=take.between(0.5, 1.8), wet=take.between(0.1, 0.5), tail=0.25)


def bubbles(take: Take) -> Float64:
    sr, rng = take.sample_rate, take.rng
    kind = take.choose(("drop", "dripping", "pouring", "brook", "boiling"))
    centre, spread = take.pitch(600, 1400), take.between(0.15, 0.5)
    rise, speed = take.between(0.5, 3.0), take.between(0.7, 1.5)
    seconds = take.between(0.42, 0.9) if kind == "drop" else take.between(1.5, 5.0)
    n = take.samples(seconds)
    per_second = {"drop": 0.0, "dripping": 2.6, "pouring": 60.0, "brook": 110.0, "boiling": 35.0}[
        kind
    ] * speed
    if kind == "drop":
        starts = np.array([0.03, 0.03 + 0.09 * speed])
    elif kind == "dripping":
        beats = np.arange(0.05, seconds, 1 / per_second)
        starts = np.concatenate([beats, beats + rng.uniform(0.05, 0.12, len(beats))])
    else:
        starts = np.sort(rng.uniform(0, seconds, int(per_second * seconds)))
    out = np.zeros(n)
    for index, start in enumerate(starts):
        pitch = min(centre * float(np.exp(spread * rng.standard_normal())), 0.2 * sr)
        if kind == "pouring":  # the vessel fills up
            pitch = min(pitch * (0.7 + 0.9 * index / len(starts)), 0.2 * sr)
        if kind == "boiling":
            pitch *= 0.65
        damping = 0.011 * pitch + 0.0009 * pitch**1.5  # half of van den Doel's or less: drops that ring
        size = min(take.samples(5 / damping), n)
        time = np.arange(size) / sr
        sweep = pitch * (1 + rise * rng.uniform(0.4, 1.0) * np.minimum(damping * time, 4) * 0.25)
        ring = np.sin(2 * np.pi * np.cumsum(sweep) / sr) * np.exp(-damping * time)
        ring *= np.minimum(time / 0.0015, 1)
        level = rng.uniform(0.6, 1.0) if kind in ("drop", "dripping") else rng.uniform(0.05, 1) ** 2
        place(out, ring, take.samples(start), level)
    splash = filtered(rng.standard_normal(n), sr, lambda f: highpass(f, 1500) * lowpass(f, 5000))
    wet = {"drop": 0.004, "dripping": 0.003, "pouring": 0.08, "brook": 0.05, "boiling": 0.02}[kind]
    out += wet * splash * (0.4 + wander(rng, n, sr, 7))
    return reverberate(out, sr, rng, t60=take.between(0.2, 2.2), wet=take.between(0.05, 0.4), tail=0.15)


def rain(take: Take) -> Float64:
    sr, rng = take.sample_rate, take.rng
    on = take.choose(("leaves", "pavement", "tin roof", "window", "tent"))
    heavy, seconds = take.share(), take.between(3.0, 5.9)
    n = take.samples(seconds)
    centre, width, hiss = {
        "leaves": (3200, 3500, 0.5),
        "pavement": (5200, 5000, 1.0),
        "tin roof": (2400, 1500, 0.35),
        "window": (3800, 1800, 0.4),
        "tent": (1500, 1600, 0.45),
    }[on]
    drops = np.zeros(n)
    n_drops = int(seconds * 60 * 30**heavy)
    # Most drops are far and small: levels follow a power law.
    np.add.at(drops, rng.integers(0, n, n_drops), rng.pareto(1.8, n_drops) * rng.choice([-1, 1], n_drops))
    drops = np.clip(drops, -12, 12)
    patter = filtered(
        drops, sr, lambda f: resonance(f, centre, width) + 0.5 * resonance(f, 1.9 * centre, width)
    )
    if on in ("tin roof", "window"):
        pan = centre * np.array([0.31, 0.52, 0.83, 1.27])
        for mode in pan:
            patter += 0.8 * filtered(drops, sr, partial(resonance, centre=mode, bandwidth=60.0))
    stream = filtered(rng.standard_normal(n), sr, lambda f: highpass(f, 900) * lowpass(f, 1.6 * centre, 1))
    stream *= 0.75 + 0.5 * wander(rng, n, sr, 0.8)
    out = patter / (patter.std() + 1e-12) + hiss * (0.4 + 1.6 * heavy) * stream / (stream.std() + 1e-12)
    if take.share() < 0.2:
        rumble = filtered(rng.standard_normal(n), sr, lambda f: lowpass(f, 90, 3))
        roll = decay(n, sr, 4.0, attack=0.35) * (0.3 + wander(rng, n, sr, 5))
        out += 2.2 * rumble / rumble.std() * roll
    return reverberate(out, sr, rng, t60=take.between(0.15, 0.7), wet=take.between(0.0, 0.3), tail=0.0)


def wind(take: Take) -> Float64:
    sr, rng = take.sample_rate, take.rng
    centre, seconds = take.pitch(170, 650), take.between(3.2, 5.9)
    gusty, howl = take.between(0.25, 1.2), take.share() ** 2
    n = take.samples(seconds)
    gust = wander(rng, n, sr, gusty) ** 1.3
    flutter = wander(rng, n, sr, 6)
    strength = 0.12 + gust * (0.8 + 0.2 * flutter)
    white = rng.standard_normal(n)

    def moving(seconds: Float64, f: Float64) -> Float64:
        blow = strength[np.clip((seconds[:, 0] * sr).astype(np.int64), 0, n - 1)][:, None]
        middle = centre * (0.6 + 1.6 * blow)
        body = 1 / (1 + ((f - middle) / (0.55 * middle)) ** 2)
        # Wires and cracks whistle at a pitch that follows the wind.
        whistle = 1 / (1 + ((f - 2.6 * middle) / (0.035 * middle)) ** 2)
        rumble = 0.8 / (1 + (f / 90) ** 2)
        return np.asarray(body + 1.6 * howl * whistle + rumble)

    out = sweep_filter(white, sr, moving) * strength
    leaves = filtered(rng.standard_normal(n), sr, lambda f: resonance(f, 3000, 3000))
    out += take.between(0.0, 0.03) * leaves * gust**2
    return reverberate(out, sr, rng, t60=0.6, wet=take.between(0.0, 0.3), tail=0.0)
