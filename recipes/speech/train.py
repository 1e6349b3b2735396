"""Train the head of ``speech`` on what ``clips.py`` made.

::

    python recipes/speech/train.py CLIPS.npz OUT.pt --minutes 20

Stretches of one class are drawn together and others apart (SupCon), and so are the quarters of them, by
which a frame comes to tell where in a word it is. Of each frame the network learns, too, whether
somebody speaks.
"""

from __future__ import annotations

import argparse
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from network import SpeechHead, pooled
from torch import Tensor
from torch.nn import functional

AROUND, LONGEST = 8, 44  # frames beside a stretch, and of one
N_PARTS = 4
TEMPERATURE = 0.07
N_REAL, N_SAID, N_RUNNING, N_OTHER = 28, 64, 32, 20  # classes of a batch; clips without speech


class Clips:
    def __init__(self, path: Path, seed: int) -> None:
        with np.load(path) as found:
            self.frames, self.said = found["frames"].astype(np.float32), found["said"]
            self.offsets, self.spans = found["offsets"], found["spans"]
        self.rng = np.random.default_rng(seed)
        labels = self.spans[:, 0]
        self.other = np.flatnonzero(labels == -1)
        groups: dict[int, list[int]] = {}
        for i, label in enumerate(labels):
            if label >= 0:
                groups.setdefault(int(label), []).append(i)
        lengths = np.diff(self.offsets)
        self.running = [
            g
            for g in groups.values()
            if len(g) == 2 and (self.spans[g, 2] - self.spans[g, 1] > 30).all() and self.spans[g[0], 1] == 0
        ]
        running = {g[0] for g in self.running}
        others = [g for g in groups.values() if g[0] not in running and len(g) > 2]
        self.real = [g for g in others if len(g) > 20]
        self.words = [g for g in others if len(g) <= 20]
        self.lengths = lengths

    def stretch(self, i: int, first: int, last: int):
        begin, end = max(0, first - AROUND), min(self.lengths[i], last + AROUND)
        at = self.offsets[i]
        frames = self.frames[at + begin : at + end]
        frames = frames + self.rng.standard_normal(frames.shape).astype(np.float32) * self.noise
        return frames, self.said[at + begin : at + end], first - begin, last - begin

    def batch(self):
        rng = self.rng
        drawn, labels = [], []

        def choose(groups, n):
            return [groups[i] for i in rng.choice(len(groups), min(n, len(groups)), replace=False)]

        chosen = [(g, 3) for g in choose(self.real, N_REAL)] + [(g, 3) for g in choose(self.words, N_SAID)]
        for label, (group, n) in enumerate(chosen):
            for i in rng.choice(group, min(n, len(group)), replace=False):
                _, first, last = self.spans[i]
                first = max(0, first + rng.integers(-1, 2))
                last = min(self.lengths[i], last + rng.integers(-1, 2), first + LONGEST)
                drawn.append(self.stretch(i, first, max(last, first + 2)))
                labels.append(label)
        for label, group in enumerate(choose(self.running, N_RUNNING), 1_000):
            n = int(rng.integers(5, 40))
            first = int(rng.integers(0, max(1, self.lengths[group[0]] - n)))
            for i in group:
                drawn.append(self.stretch(i, first, min(first + n, self.lengths[i])))
                labels.append(label)
        for i in rng.choice(self.other, N_OTHER):
            n = 30
            first = int(rng.integers(0, max(1, self.lengths[i] - n)))
            drawn.append(self.stretch(i, first, min(first + n, self.lengths[i])))
            labels.append(-1)
        longest = max(len(one[0]) for one in drawn)
        frames = np.zeros((len(drawn), longest, 96), np.float32)
        said, there, span = (np.zeros((len(drawn), longest), np.float32) for _ in range(3))
        parts = np.zeros((N_PARTS, len(drawn), longest), np.float32)
        for row, (one, is_said, first, last) in enumerate(drawn):
            frames[row, : len(one)] = one
            frames[row, len(one) :] = one[-1]
            said[row, : len(one)], there[row, : len(one)], span[row, first:last] = is_said, 1, 1
            bounds = np.linspace(first, last, N_PARTS + 1).round().astype(int)
            for part, (begin, end) in zip(parts, pairwise(bounds), strict=True):
                part[row, begin : max(end, begin + 1)] = 1
        arrays = (frames, said, there, span, parts)
        return *(torch.from_numpy(one) for one in arrays), torch.tensor(labels)


def apart(vectors: Tensor, labels: Tensor) -> Tensor:
    """Tell how badly vectors of one label are together (Khosla et al., 2020)."""
    itself = torch.eye(len(labels))
    scores = vectors @ vectors.T / TEMPERATURE - 1e9 * itself
    same = (labels[:, None] == labels[None]).float() - itself
    each = -(same * functional.log_softmax(scores, 1)).sum(1) / same.sum(1).clamp(min=1)
    return each[same.sum(1) > 0].mean()


def by_length(lengths: Tensor) -> list[tuple[Tensor, int]]:
    """Divide clips into four parts of like length → their numbers, and the longest."""
    parts = lengths.argsort().chunk(4)
    return [(part, int(lengths[part].max())) for part in parts]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clips", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=Path, help="what to go on from")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    clips = Clips(options.clips, options.seed)
    network = SpeechHead()
    network.mean[:] = torch.from_numpy(clips.frames[::7].mean(0))
    network.deviation[:] = torch.from_numpy(clips.frames[::7].std(0) + 1e-3)
    clips.noise = 0.15 * network.deviation.numpy()
    if options.start:
        network.load_state_dict(torch.load(options.start, weights_only=True))
    n = sum(weight.numel() for weight in network.parameters())
    print(f"{n:,} parameters; classes:", *map(len, (clips.real, clips.words, clips.running)))
    optimiser = torch.optim.AdamW(network.parameters(), 1e-3, weight_decay=1e-2)
    begun, step, kept, losses = time.perf_counter(), 0, 0.0, []
    while (done := (time.perf_counter() - begun) / 60 / options.minutes) < 1:
        for group in optimiser.param_groups:
            group["lr"] = 1.2e-3 * min(1, step / 60) * (0.5 + 0.5 * np.cos(np.pi * done) + 0.01)
        frames, said, there, span, parts, labels = clips.batch()
        if step % 2:  # some numbers of the embedding are missing
            frames = frames * (torch.rand(len(frames), 1, 96) > 0.08)
        # Short ones together and long ones together, which saves half of the time.
        found = [
            (some, *network.parts(frames[some, :longest])) for some, longest in by_length(there.sum(1).long())
        ]
        what = torch.zeros(*frames.shape[:2], found[0][1].shape[2])
        logit = torch.zeros(*frames.shape[:2], 1)
        for some, one, much in found:
            what[some, : one.shape[1]], logit[some, : one.shape[1]] = one, much
        is_word = labels >= 0
        told = [pooled(what, logit, one)[is_word] for one in (span, *parts)]
        whole = apart(told[0], labels[is_word])
        part = apart(torch.cat(told[1:]), torch.cat([labels[is_word] + 10_000 * i for i in range(N_PARTS)]))
        speech = functional.binary_cross_entropy_with_logits(logit[:, :, 0], said, weight=there)
        loss = 0.6 * whole + 0.8 * part + speech
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        step += 1
        losses.append((whole.item(), part.item(), speech.item()))
        if step % 25 == 0:
            print(step, f"{done:.0%}", np.mean(losses, axis=0).round(3), flush=True)
            losses = []
        if time.perf_counter() - kept > 120:
            kept = time.perf_counter()
            torch.save(network.state_dict(), options.out)
    torch.save(network.state_dict(), options.out)


if __name__ == "__main__":
    main()
