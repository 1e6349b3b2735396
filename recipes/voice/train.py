"""Train ``voice``: it begins as Resemblyzer, and learns to hear in noise what that hears without.

::

    python recipes/voice/train.py clips.npz pretrained.pt voice.pt --minutes 40

In a batch are 16 voices and of each four stretches. People at another speed, and so another pitch, are other
voices. Resemblyzer hears each stretch as it was recorded; the network hears it in a room, under noise, music
or other voices, through a telephone, cut short. Its vector is to lie where the teacher's does, half of it the
mean of the four, and voices are to lie apart (SupCon, and in the last third the hardest triplets, too).
"""

from __future__ import annotations

import argparse
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import soxr
import torch
from network import FRAMES, FRONT_END, RATE, SAMPLES, Voice
from pytorch_metric_learning.distances import CosineSimilarity
from pytorch_metric_learning.losses import SupConLoss, TripletMarginLoss
from pytorch_metric_learning.miners import BatchHardMiner
from scipy.signal import butter, fftconvolve, lfilter, sosfilt
from torch.nn import functional

from echoic.pretrained.front import unit
from echoic.pretrained.resemblyzer import Resemblyzer

N_VOICES, N_STRETCHES, N_OTHER = 16, 4, 6  # of a batch: voices, stretches of each, stretches without a voice
OF_ESPEAK = 0.15
TEMPERATURE, MARGIN = 0.1, 0.2
HOP, SIZE = 160, 400


def rms(samples: np.ndarray) -> float:
    return float(np.sqrt((samples**2).mean()) + 1e-6)


class Batches:
    """Draws batches: clean stretches, the same degraded, whose they are, and where somebody speaks."""

    def __init__(self, path: Path, seed: int) -> None:
        found = np.load(path)
        self.rng = np.random.default_rng(seed)
        self.speech, self.of_speech = found["speech"], found["of_speech"]
        self.clips = [np.flatnonzero(found["speakers"] == i) for i in range(int(found["speakers"].max()) + 1)]
        self.n_people = int(found["n_people"])
        self.noise, self.of_noise, self.is_music = found["noise"], found["of_noise"], found["is_music"]
        room, of_room = found["room"] / 32_768, found["of_room"]
        self.rooms = [room[a:b] / np.sqrt((room[a:b] ** 2).sum()) for a, b in pairwise(of_room)]
        hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(SIZE) / SIZE)
        self.taper = (hann / hann.sum()).astype(np.float32)

    def cut(self, sound: np.ndarray, begin: int, end: int, n: int) -> np.ndarray:
        """Draw a stretch of n samples, of what repeats where there are fewer."""
        at = int(rng_between(self.rng, begin, end - n))
        return np.resize(sound[at : min(at + n, end)], n) / np.float32(32_768)

    def voice(self, speaker: int, n: int, speed: float) -> np.ndarray:
        clip = self.rng.choice(self.clips[speaker])
        wanted = n if speed == 1 else int(n * speed) + 64
        one = self.cut(self.speech, self.of_speech[clip], self.of_speech[clip + 1], wanted)
        if speed != 1:
            one = np.resize(soxr.resample(one, RATE * speed, RATE, quality="LQ"), n)
        return one / rms(one)

    def other(self) -> np.ndarray:
        """Draw what no voice is: noise, music, coloured noise."""
        rng = self.rng
        if rng.random() < 0.25:
            one = lfilter([1], [1, -rng.uniform(-0.5, 0.995)], rng.normal(size=SAMPLES + 400))[400:]
        else:
            is_music = rng.random() < 0.25
            i = int(rng.choice(np.flatnonzero(self.is_music == is_music)))
            one = self.cut(self.noise, self.of_noise[i], self.of_noise[i + 1], SAMPLES)
        return one / rms(one)

    def degraded(self, clean: np.ndarray) -> np.ndarray:
        rng = self.rng
        heard = clean
        if rng.random() < 0.3:
            heard = fftconvolve(heard, self.rooms[rng.integers(len(self.rooms))])[: len(heard)]
        if rng.random() < 0.65:
            if rng.random() < 0.15:
                others = rng.integers(0, self.n_people, rng.integers(3, 7))
                noise = np.sum([self.voice(i, SAMPLES, 1.0) for i in others], axis=0)
                ratio = rng.uniform(3, 20)
            else:
                noise, ratio = self.other(), rng.uniform(-3, 20)
            heard = heard + noise * (rms(heard) / rms(noise) * 10 ** (-ratio / 20))
        if rng.random() < 0.4:
            heard = self.telephone(heard)
        heard = heard * (10 ** (rng.uniform(-40, -14) / 20) / rms(heard))
        return np.clip(heard, -1, 1).astype(np.float32)

    def telephone(self, samples: np.ndarray) -> np.ndarray:
        """Leave a band, and often as many bits as telephones have."""
        rng = self.rng
        edges = [rng.uniform(150, 400), rng.uniform(3_000, 3_700)]
        samples = sosfilt(butter(int(rng.integers(2, 6)), edges, "band", fs=RATE, output="sos"), samples)
        if rng.random() < 0.5:
            peak = np.abs(samples).max() * rng.uniform(1, 4) + 1e-9
            loud = np.sign(samples) * np.log1p(255 * np.abs(samples) / peak) / np.log(256)
            loud = np.round(loud * 127) / 127
            samples = np.sign(loud) * np.expm1(np.abs(loud) * np.log(256)) / 255 * peak
        return samples

    def said(self, clean: np.ndarray) -> np.ndarray:
        """Tell in which frames somebody speaks, by the level."""
        level = np.convolve(clean**2, self.taper, "valid")[::HOP][:FRAMES]
        return level > 10**-2.7  # of speech whose mean is 1

    def batch(self) -> tuple[torch.Tensor, ...]:
        rng = self.rng
        n_espeak = int(rng.binomial(N_VOICES, OF_ESPEAK))
        people = rng.choice(self.n_people, N_VOICES - n_espeak, replace=False)
        machines = rng.choice(np.arange(self.n_people, len(self.clips)), n_espeak, replace=False)
        cleans, heards, saids, labels = [], [], [], []
        for label, speaker in enumerate([*people, *machines]):
            speed = 1.0 if rng.random() < 0.4 else float(rng.uniform(0.8, 1.25))
            for _ in range(N_STRETCHES):
                clean = self.voice(speaker, SAMPLES, speed)
                cleans.append(clean)
                part = clean
                if rng.random() < 0.2:  # cut short
                    n = int(rng.uniform(0.3, 0.9) * SAMPLES)
                    at = rng.integers(SAMPLES - n)
                    part = np.zeros_like(clean)
                    part[at : at + n] = clean[at : at + n]
                    if not part.any():
                        part = clean
                heards.append(self.degraded(part) if rng.random() < 0.85 else part * 0.03)
                saids.append(self.said(part))
                labels.append(label)
        for _ in range(N_OTHER):
            level = 10 ** (rng.uniform(-50, -14) / 20) * (rng.random() > 0.1)
            heards.append(self.other() * level)
            saids.append(np.zeros(FRAMES, bool))
        log_mels = FRONT_END(np.stack(heards).astype(np.float32))
        as_tensor = [torch.from_numpy(np.stack(one).astype(np.float32)) for one in (cleans, log_mels, saids)]
        return *as_tensor, torch.tensor(labels)


def rng_between(rng: np.random.Generator, low: int, high: int) -> int:
    return int(rng.integers(low, max(low, high) + 1))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clips", type=Path)
    parser.add_argument("teacher", type=Path, help="pretrained.pt in the wheel of Resemblyzer")
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rate", type=float, default=4e-4)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    state = torch.load(options.teacher, map_location="cpu", weights_only=True)["model_state"]
    teacher, network = Resemblyzer(), Voice()
    teacher.load_state_dict({n: v for n, v in state.items() if not n.startswith("similarity_")})
    network.begin_as(state)
    batches = Batches(options.clips, options.seed)
    n = sum(weight.numel() for weight in network.parameters())
    print(f"{n:,} parameters, {len(batches.clips)} voices", flush=True)
    distance = CosineSimilarity()
    apart = SupConLoss(TEMPERATURE, distance=distance)
    hardest, triplets = BatchHardMiner(distance=distance), TripletMarginLoss(MARGIN, distance=distance)
    optimiser = torch.optim.AdamW(network.parameters(), options.rate, weight_decay=1e-3)
    begun, step, kept, losses = time.perf_counter(), 0, 0.0, []
    while (done := (time.perf_counter() - begun) / 60 / options.minutes) < 1:
        for group in optimiser.param_groups:
            group["lr"] = options.rate * min(1, (step + 1) / 20) * (0.5 + 0.5 * np.cos(np.pi * done) + 0.01)
        clean, heard, said, labels = batches.batch()
        with torch.no_grad():
            with torch.autocast("cpu", torch.bfloat16):
                told = unit(teacher(clean * 10 ** (-30 / 20)).float())
            mean = told.view(N_VOICES, N_STRETCHES, -1).mean(1).repeat_interleave(N_STRETCHES, 0)
            due = unit(unit(mean) + told)
        who, odds = network.parts(heard)
        who = who[: len(labels)]
        share = said[: len(labels)].mean(1).clamp(min=0.1)
        like = (share * (1 - (who * due).sum(1))).sum() / share.sum()
        both, twice = torch.cat([who, told]), torch.cat([labels, labels])
        loss_apart = apart(both, twice)
        speech = functional.binary_cross_entropy_with_logits(odds, said)
        loss = 4 * like + 0.5 * loss_apart + 0.5 * speech
        if done > 0.67:
            loss = loss + triplets(who, labels, hardest(who, labels))
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 3.0)
        optimiser.step()
        step += 1
        losses.append((like.item(), loss_apart.item(), speech.item()))
        if step % 20 == 0:
            print(
                step,
                f"{done:.0%}",
                np.mean(losses, axis=0).round(4),
                f"{time.process_time():.0f} s",
                flush=True,
            )
            losses = []
        if time.perf_counter() - kept > 120:
            kept = time.perf_counter()
            torch.save(network.state_dict(), options.out)
    torch.save(network.state_dict(), options.out)


if __name__ == "__main__":
    main()
