"""Train ``fingerprint``: a window of music near the same moment degraded, far from everything else.

::

    python recipes/fingerprint/train.py --data DIR -o fingerprint.pt --minutes 240 [--resume]

NT-Xent over 256 pairs a batch, 64 tracks with four stretches each: a track's other stretches are among the
strangers. ``--loss`` takes a triplet loss instead; ``--alike`` makes strangers harder: batches of groups of
tracks that the network it starts from finds alike. The checkpoint is written every few hundred steps, and
``--resume`` goes on from it; ``--start`` begins anew with the weights of another, a checkpoint or a graph.
One core trains, another makes the batches.

References
----------
Chen et al., "A simple framework for contrastive learning of visual representations", ICML 2020 (NT-Xent).
Chang et al., "Neural audio fingerprint for high-specific audio retrieval based on contrastive learning",
ICASSP 2021.
The triplet losses are those of ``echoic train``, see :mod:`echoic.training.objectives`.
"""

from __future__ import annotations

import argparse
import copy
import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - torch's own convention

sys.path.insert(0, str(Path(__file__).parent))

import pairs
from network import WIDTHS, FingerprintNet
from sources import rows

from echoic.audio.decode import read_audio
from echoic.training.augment.waveform import synthetic_room
from echoic.training.objectives import make_objective
from echoic.types import Float32

PAIRS, STRETCHES = 256, 4  # in a batch; of a track
ASKED = ("widths", "seed", "rate", "start", "loss", "stretches", "alike")  # what a run goes on with
LOSSES = ("ntxent", "triplet", "triplet-semihard")
TEMPERATURE = 0.05
PROFILE = 16  # windows of a track, by which it is found alike to others
RATE, LEAST_RATE, WARM_UP = 1.5e-3, 3e-5, 200  # the first two of learning; the third in steps
EMA = 0.998
SAVED_EVERY = 300  # steps
SYNTHETIC_ROOMS = 300
MASKED_BANDS = 16


def load(data: Path) -> dict[str, list[Float32]]:
    """Decode everything that is trained on, by its part; some 2 GB."""
    sounds: dict[str, list[Float32]] = {"music": [], "noise": [], "room": []}
    for part, row in rows(data):
        samples, _ = read_audio(data / row["path"], pairs.RATE)
        sounds[part].append(samples)
    rng = np.random.default_rng(0)
    for rt60 in np.exp(rng.uniform(np.log(0.15), np.log(1.8), SYNTHETIC_ROOMS)):
        room = synthetic_room(float(rt60), pairs.RATE, rng, drr_db=float(rng.uniform(-6, 10)))
        sounds["room"].append(room[: 2 * pairs.RATE])
    return sounds


class Batches(torch.utils.data.IterableDataset):  # type: ignore[misc]
    """Batches without end; each is a function of the seed and its number.

    Parameters
    ----------
    groups : ndarray
        Shape (n tracks, n alike): a track and those that are most like it. A batch is made of such groups.
    """

    def __init__(
        self,
        sounds: dict[str, list[Float32]],
        groups: npt.NDArray[np.intp],
        *,
        stretches: int,
        seed: int,
        first: int,
    ) -> None:
        self._sounds = sounds
        self._groups = groups
        self._stretches = stretches
        self._seed = seed
        self._first = first

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        torch.set_num_threads(1)
        tracks, noises, rooms = (self._sounds[part] for part in ("music", "noise", "room"))
        shares = np.minimum([len(track) for track in tracks], 60 * pairs.RATE)
        noise_shares = np.sqrt([len(noise) for noise in noises])
        noise_shares /= noise_shares.sum()
        for number in range(self._first, 2**31):
            rng = np.random.default_rng([self._seed, number])
            first, second = [], []
            # Groups overlap: the first so many different tracks of them.
            order = rng.choice(len(tracks), len(tracks), replace=False, p=shares / shares.sum())
            chosen = list(dict.fromkeys(self._groups[order].ravel().tolist()))[: PAIRS // self._stretches]
            for at in chosen:
                speed = float(np.exp(rng.uniform(-0.3, 0.3))) if rng.random() < 0.6 else 1.0
                for _ in range(self._stretches):
                    stretch = pairs.stretch_of(tracks[at], speed, rng)
                    first.append(pairs.clean(stretch))
                    what = pairs.draw(rng, len(rooms), noise_shares)
                    second.append(pairs.degrade(stretch, what, rooms, noises))
            yield (
                torch.from_numpy(pairs.log_mel(np.stack(first))),
                torch.from_numpy(pairs.log_mel(np.stack(second))),
            )


def groups_of(network: FingerprintNet, tracks: list[Float32], alike: int) -> npt.NDArray[np.intp]:
    """Find the ``alike`` tracks nearest each, itself the first, by the mean of their vectors."""
    rng = np.random.default_rng(0)
    profiles = []
    network.eval()
    with torch.no_grad():
        for track in tracks:
            windows = [pairs.clean(pairs.stretch_of(track, 1.0, rng)) for _ in range(PROFILE)]
            profiles.append(network(torch.from_numpy(pairs.log_mel(np.stack(windows)))).mean(dim=0))
    network.train()
    vectors = F.normalize(torch.stack(profiles), dim=1)
    similarities = vectors @ vectors.T
    similarities.fill_diagonal_(2.0)
    return similarities.argsort(dim=1, descending=True)[:, :alike].numpy()


def masked(standardised: Tensor) -> Tensor:
    """Blot out a run of bands in every window: (n, n_mels, frames)."""
    n, n_mels, _ = standardised.shape
    first = torch.randint(0, n_mels - MASKED_BANDS, (n, 1))
    width = torch.randint(0, MASKED_BANDS, (n, 1))
    bands = torch.arange(n_mels)
    kept = (bands < first) | (bands >= first + width)
    return standardised * kept.unsqueeze(2)


def nt_xent(first: Tensor, second: Tensor) -> Tensor:
    """Tell each window's partner from all others of both sides, (n, dim) each, in both directions.

    That of pytorch-metric-learning lays each of the 512 pairs beside all 261,000 negatives: half a gigabyte.
    """
    n = len(first)
    itself = 9 * torch.eye(n)
    targets = torch.arange(n)
    loss = torch.zeros(())
    for a, b in ((first, second), (second, first)):
        loss = loss + F.cross_entropy(torch.cat([a @ b.T, a @ a.T - itself], 1) / TEMPERATURE, targets)
    return loss / 2


def loss_of(name: str, first: Tensor, second: Tensor) -> Tensor:
    """Compute the loss called ``name`` of a batch of pairs, (n, dim) each."""
    if name == "ntxent":
        return nt_xent(first, second)
    vectors, moments = torch.cat([first, second]), torch.arange(len(first)).repeat(2)
    objective = make_objective(name, dim=vectors.shape[1], n_classes=len(first))
    loss: Tensor = objective(vectors, moments, moments, torch.ones(len(vectors)))
    return loss


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--widths", default=",".join(map(str, WIDTHS)), help="unless --start is given")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rate", type=float, default=RATE, help="highest rate of learning")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--start", type=Path, help="a checkpoint or a graph (.onnx) to begin with")
    parser.add_argument("--loss", choices=LOSSES, default=LOSSES[0])
    parser.add_argument("--stretches", type=int, default=STRETCHES, help=f"of a track; {PAIRS} pairs in all")
    parser.add_argument("--alike", type=int, default=1, help="tracks in a group of those most alike")
    options = parser.parse_args()
    if options.alike > 1 and options.start is None:
        parser.error("--alike needs a trained network to tell what is alike: name it with --start")
    asked = {name: str(getattr(options, name)) for name in ASKED}
    torch.manual_seed(options.seed)
    torch.set_num_threads(1)
    sounds = load(options.data)
    singly = np.arange(len(sounds["music"]))[:, None]
    if options.start is None:
        network = FingerprintNet(tuple(map(int, options.widths.split(","))))
    elif options.start.suffix == ".onnx":
        examples = Batches(sounds, singly, stretches=1, seed=0, first=0)
        network = FingerprintNet.from_graph(options.start, torch.cat(next(iter(examples))))
    else:
        saved = torch.load(options.start, weights_only=True)
        network = FingerprintNet(saved["c"])
        network.load_state_dict(saved["ema"])
    groups = singly if options.alike == 1 else groups_of(network, sounds["music"], options.alike)
    average = copy.deepcopy(network)
    optimizer = torch.optim.AdamW(network.parameters(), lr=options.rate, weight_decay=1e-4)
    step, spent = 0, 0.0
    if options.resume:
        saved = torch.load(options.output, weights_only=True)
        if saved["asked"] != asked:
            was = " ".join(f"--{name} {value}" for name, value in saved["asked"].items())
            parser.error(f"{options.output} was begun with {was}; go on with the same, or begin anew")
        network.load_state_dict(saved["net"])
        average.load_state_dict(saved["ema"])
        optimizer.load_state_dict(saved["optimizer"])
        step, spent = saved["step"], saved["spent"]
    network.to(memory_format=torch.channels_last)

    def save() -> None:
        state = {
            "net": network.state_dict(),
            "ema": average.state_dict(),
            "optimizer": optimizer.state_dict(),
            "c": network.widths,
            "step": step,
            "spent": spent,
            "asked": asked,
        }
        temporary = options.output.with_suffix(".part")
        torch.save(state, temporary)
        temporary.replace(options.output)

    batches = iter(
        torch.utils.data.DataLoader(
            Batches(sounds, groups, stretches=options.stretches, seed=options.seed, first=step),
            batch_size=None,
            num_workers=1,
            prefetch_factor=4,
        )
    )
    begun, told = time.monotonic() - 60 * spent, time.monotonic()
    losses: list[float] = []
    while spent < options.minutes:
        decay = (1 + math.cos(math.pi * spent / options.minutes)) / 2
        for group in optimizer.param_groups:
            group["lr"] = min(1, (step + 1) / WARM_UP) * (LEAST_RATE + (options.rate - LEAST_RATE) * decay)
        first, second = next(batches)
        with torch.no_grad():
            both = masked(network.standardised(torch.cat([first, second])))
        vectors = network.embed(both)
        loss = loss_of(options.loss, *vectors.chunk(2))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        step += 1
        keep = min(EMA, step / (step + 50))
        with torch.no_grad():
            for slow, fast in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
                if slow.dtype.is_floating_point:
                    slow.lerp_(fast, 1 - keep)
                else:
                    slow.copy_(fast)
        losses.append(float(loss.detach()))
        spent = (time.monotonic() - begun) / 60
        if time.monotonic() - told > 60:
            print(f"step {step}, {spent:.0f} min: loss {np.mean(losses):.3f}", flush=True)
            losses, told = [], time.monotonic()
        if step % SAVED_EVERY == 0:
            save()
    save()


if __name__ == "__main__":
    main()
