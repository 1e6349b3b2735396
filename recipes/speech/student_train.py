"""Train ``spoken`` to say of degraded sound what ``speech`` says of it clean.

::

    python recipes/speech/student_train.py CLIPS.npz OUT.pt --minutes 20 --data DATA
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from clips import rows_of
from student import FLOOR, RATE, Spoken
from torch.nn import functional

from echoic.audio.decode import read_audio

BATCH = 16


def spectra(network: Spoken, sounds: Iterable[np.ndarray]) -> np.ndarray:
    """Compute spectra of sounds of one length → (n, bands, frames), float16."""
    found = []
    with torch.no_grad():
        for sound in sounds:
            found.append(network.spectrum(torch.from_numpy(sound[None])).numpy()[0].astype(np.float16))
    return np.stack(found)


def degraded(clean: np.ndarray, noises: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Change spectra, (n, bands, frames): other levels, microphones and telephones, and noise beside."""
    n, bands, _ = clean.shape

    tilts = np.stack(
        [np.interp(np.arange(bands), np.linspace(0, bands - 1, 6), one) for one in rng.normal(0, 1.0, (n, 6))]
    )
    power = np.exp(clean + tilts[:, :, None])
    noise = np.exp(
        np.roll(noises[rng.integers(len(noises), size=n)], rng.integers(600), axis=2).astype(np.float32)
    )
    level = power.mean(axis=(1, 2)) / noise.mean(axis=(1, 2))
    snr = np.where(rng.random(n) < 0.6, rng.uniform(3, 30, n), 60)
    power += noise * (level * 10 ** (-snr / 10))[:, None, None]
    gain = np.exp(rng.uniform(-5, 3, n)).astype(np.float32)[:, None, None]
    return np.log(power * gain + FLOOR).astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clips", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    rng = np.random.default_rng(options.seed)
    with np.load(options.clips) as found:
        sounds, told = found["sounds"], found["told"]
    network = Spoken()
    rows = [row for row in rows_of(options.data) if row["split"] == "train" and row["dataset"] == "noise"]
    size = sounds.shape[1]
    noises = spectra(
        network, (np.resize(read_audio(options.data / row["path"], RATE)[0], size) for row in rows)
    )
    clean = spectra(network, (sound.astype(np.float32) / 32_768 for sound in sounds))
    del sounds
    some = degraded(clean[::13].astype(np.float32), noises, rng)
    network.mean[:] = torch.from_numpy(some.mean(axis=(0, 2)))[:, None]
    network.deviation[:] = torch.from_numpy(some.std(axis=(0, 2)))[:, None]
    n = sum(weight.numel() for weight in network.parameters())
    print(f"{n:,} parameters, {len(clean)} clips", flush=True)
    optimiser = torch.optim.AdamW(network.parameters(), 2e-3, weight_decay=1e-2)
    begun, step, kept, losses, order = time.perf_counter(), 0, 0.0, [], rng.permutation(0)
    while (done := (time.perf_counter() - begun) / 60 / options.minutes) < 1:
        for group in optimiser.param_groups:
            group["lr"] = 2e-3 * min(1, step / 60) * (0.5 + 0.5 * np.cos(np.pi * done) + 0.005)
        if len(order) < BATCH:
            order = rng.permutation(len(clean))
        taken, order = order[:BATCH], order[BATCH:]
        heard = torch.from_numpy(degraded(clean[taken].astype(np.float32), noises, rng))
        due = torch.from_numpy(told[taken].astype(np.float32) / 127)
        much = due[:, :, :-1].norm(dim=2).clamp(0, 1)
        due_what = functional.normalize(due[:, :, :-1], dim=2)
        what, logit = network.parts(heard)
        off = ((1 - (what * due_what).sum(2)) * much).sum() / much.sum()
        # Which frame of the teacher's is meant, of all of the batch in which something is said.
        at = (much > 0.7).nonzero()
        at = at[torch.from_numpy(rng.permutation(len(at))[:512])]
        mine, theirs = what[at[:, 0], at[:, 1]], due_what[at[:, 0], at[:, 1]]
        alike = (theirs @ theirs.T / 0.1).softmax(1)
        which = -(alike * (mine @ theirs.T / 0.1).log_softmax(1)).sum(1).mean()
        speech = functional.binary_cross_entropy_with_logits(logit[:, :, 0], much)
        loss = 2 * off + 0.3 * which + 0.5 * speech
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        step += 1
        losses.append((off.item(), which.item(), speech.item()))
        if step % 100 == 0:
            print(step, f"{done:.0%}", np.mean(losses, axis=0).round(3), flush=True)
            losses = []
        if time.perf_counter() - kept > 120:
            kept = time.perf_counter()
            torch.save(network.state_dict(), options.out)
    torch.save(network.state_dict(), options.out)


if __name__ == "__main__":
    main()
