"""Teach ``sound`` what a tagger hears in anything at all: in mixes made on the way, which it hears as well.

::

    python recipes/sound/match.py seen --manifest sound4.tsv --tagger DIR --start third.echoic -o sound.echoic

``seen`` is what ``listen.py`` made. Every step draws windows of labelled and of unlabelled clips, mixes most
of them, and asks the tagger mn04 what it makes of these very mixes: so there is no end of them, and what the
teacher would say of a mix is never guessed. The pupil is to tell the teacher's vector and its classes by a
linear map each, and to find near what the teacher finds near, among the windows of the last steps. Labels are
learnt beside, as by ``echoic train``. A stopped run goes on where it was, from ``sound.echoic.part``; with
other ``--steps`` too. The map to the classes is kept as ``sound.tags.npz``.

References
----------
Beyer et al., "Knowledge distillation: a good teacher is patient and consistent", CVPR 2022.
Abbasi Koohpayegani, Tejankar and Pirsiavash, "CompRess: self-supervised learning by compressing
representations", NeurIPS 2020.
Schmid, Koutini and Widmer, "Efficient large-scale audio tagging via transformer-to-CNN knowledge
distillation", ICASSP 2023 (the teacher).
"""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from mixes import FRAMES, N_OTHERS, N_TAGS, Examples, Mixer, Seen, Tagger, examples, padded
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own convention

from echoic.evaluation.taught import note_clips
from echoic.files import written_whole
from echoic.nn.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from echoic.training.objectives import Objective, make_objective
from echoic.training.state import running_average
from echoic.types import Float32

PARTS = 128  # of the teacher's vectors that are learnt, their spread evened out
QUEUE = 4096  # windows of the last steps, among which the pupil is to find what the teacher finds
TEMPERATURE, TEACHER_TEMPERATURE = 0.07, 0.05
CLASSIFY, VECTORS, NEIGHBOURS, TAGS = 2.0, 8.0, 3.0, 0.5  # weights; that of the metric loss is 1
N_EXAMPLES, OF_CLASS, RIDGE = 2000, 6, 1e-3  # windows by which maps and centres begin, and how firmly
RATE, WARM_UP, DECAY = 6e-4, 300, 0.05
COOL = 0.3  # share of the steps in which the rate falls to 0
SAVE_EVERY = 250  # steps


class Match(nn.Module):
    """How far the pupil is from the teacher: by its vectors, its neighbours and its classes."""

    def __init__(self, dim: int, vectors: Float32) -> None:
        super().__init__()
        centre = vectors.mean(axis=0)
        _, spread, parts = np.linalg.svd(vectors - centre, full_matrices=False)
        # Without it, a few directions in which all sounds differ decide what is alike.
        self.register_buffer("centre", torch.from_numpy(centre))
        self.register_buffer(
            "evened", torch.from_numpy((parts[:PARTS] / np.sqrt(spread[:PARTS, None])).T.copy())
        )
        self.register_buffer("mine", torch.zeros(QUEUE, dim))
        self.register_buffer("his", torch.zeros(QUEUE, PARTS))
        self.register_buffer("filled", torch.zeros((), dtype=torch.int64))
        self.guess = nn.Linear(dim, PARTS)
        self.tags = nn.Linear(dim, N_TAGS)
        nn.init.constant_(self.tags.bias, -6.0)
        self.scale = nn.Parameter(torch.tensor(10.0))

    def targets(self, vectors: Tensor) -> Tensor:
        """Even out the teacher's vectors: (n, 384) → (n, PARTS) of length 1."""
        return F.normalize((vectors - self.centre) @ self.evened, dim=1)

    def forward(self, mine: Tensor, vectors: Tensor, logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Compute the three losses of a batch, and put it into the queue."""
        his = self.targets(vectors)
        apart = (1 - F.cosine_similarity(self.guess(mine), his, dim=1)).mean()
        told, heard = self.tags(self.scale * mine), torch.sigmoid(logits)
        wrong = F.binary_cross_entropy_with_logits(told, heard, reduction="none")
        least = F.binary_cross_entropy_with_logits(logits, heard, reduction="none")
        tags = (wrong - least).sum(dim=1).mean()
        near = mine.sum() * 0
        n = int(self.filled.clamp(max=QUEUE))
        if n >= QUEUE // 8:
            wanted = F.softmax(his @ self.his[:n].T / TEACHER_TEMPERATURE, dim=1)
            found = F.log_softmax(mine @ self.mine[:n].clone().T / TEMPERATURE, dim=1)
            near = F.kl_div(found, wanted, reduction="batchmean")
        with torch.no_grad():
            at = (int(self.filled) + torch.arange(len(mine))) % QUEUE
            self.mine[at], self.his[at] = mine.detach(), his
            self.filled += len(mine)
        return apart, near, tags


def rate(step: int, steps: int) -> float:
    """Rise, stay, and fall to 0 in a line at the end: so a run may be given more steps until it falls."""
    cooling = max(1, round(COOL * steps))
    return RATE * min(1, (step + 1) / WARM_UP, max(0.0, (steps - step) / cooling))


def described(start: Checkpoint, seen: Seen, manifest: Path) -> dict[str, object]:
    """Say what it was trained on, and from where it went on."""
    return {
        "architecture": start.architecture,
        "config": start.config,
        "data": {
            "name": manifest.stem,
            "clips": len(seen.paths),
            "labels": len(seen.names),
            "unlabelled": int((seen.labels < 0).sum()),
            "licences": dict(sorted(Counter(seen.licences).items())),
            "digests": note_clips(map(Path, seen.paths)),
            "held_out": "",
        },
        "recipe": "recipes/sound/match.py",
        "teacher": {"name": "mn04", "weight": VECTORS},
        "started_from": start.training,
    }


def settle(model: nn.Module, objective: Objective, match: Match, mixer: Mixer, heard: Examples) -> None:
    """Begin with the linear maps and centres that fit the pupil as it is, or it would unlearn for theirs."""
    mine = embedded(model, heard.log_mel)
    with torch.no_grad():
        wanted = torch.cat(
            [match.targets(torch.from_numpy(heard.vectors)), torch.from_numpy(heard.tags)], dim=1
        )
        ones = torch.cat([mine, torch.ones(len(mine), 1)], dim=1)
        grip = ones.T @ ones + RIDGE * len(mine) * torch.eye(ones.shape[1])
        maps = torch.linalg.solve(grip, ones.T @ wanted).T
        match.guess.weight.copy_(maps[:PARTS, :-1])
        match.guess.bias.copy_(maps[:PARTS, -1])
        match.tags.weight.copy_(maps[PARTS:, :-1] / match.scale)
        match.tags.bias.copy_(maps[PARTS:, -1])
    rng = np.random.default_rng([mixer.seed, 3])
    clips = [
        clip
        for label in range(len(mixer.seen.names))
        for clip in rng.permutation(np.flatnonzero(mixer.seen.labels == label))[:OF_CLASS]
    ]
    vectors = embedded(model, padded([mixer.window(clip, FRAMES, rng)[0] for clip in clips]))
    labels = torch.from_numpy(mixer.seen.labels[clips])
    assert objective.classifier is not None
    with torch.no_grad():
        sums = torch.zeros_like(objective.classifier.centres).index_add_(0, labels, vectors)
        objective.classifier.centres.copy_(F.normalize(sums, dim=1))


@torch.no_grad()
def embedded(model: nn.Module, log_mel: Float32) -> Tensor:
    return torch.cat([model.eval()(some) for some in torch.from_numpy(log_mel).split(32)])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("seen", type=Path, help="what listen.py made")
    parser.add_argument(
        "--manifest", type=Path, required=True, help="what manifest.py wrote: what has labels"
    )
    parser.add_argument("--tagger", type=Path, required=True, help="folder of mn04_as.onnx")
    parser.add_argument("--start", type=Path, required=True, help="the .echoic file to go on from")
    parser.add_argument("--steps", type=int, default=5_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)

    start = load_checkpoint(options.start)
    seen = Seen(options.seen, options.manifest)
    about = described(start, seen, options.manifest)
    mixer = Mixer(seen, Tagger(options.tagger), options.seed)
    model = start.embedder().to(memory_format=torch.channels_last)
    objective: Objective = make_objective(
        "supcon", dim=start.dim, n_classes=len(seen.names), classify=CLASSIFY, seed=options.seed
    )
    heard = examples(mixer, N_EXAMPLES)
    match = Match(start.dim, heard.vectors)
    average = running_average(model)
    parts = {"model": model, "average": average, "objective": objective, "match": match}
    groups = [
        {"params": [w for part in (model, objective, match) for w in part.parameters() if chosen(w)]}
        | {"weight_decay": decay}
        for decay, chosen in ((DECAY, lambda w: w.ndim >= 2), (0.0, lambda w: w.ndim < 2))
    ]
    optimizer = torch.optim.AdamW(groups, lr=RATE)
    parts["optimizer"] = optimizer
    step, state = 0, options.output.with_name(options.output.name + ".part")
    if state.exists():
        saved = torch.load(state, weights_only=True)
        step = saved["step"]
        for name, part in parts.items():
            part.load_state_dict(saved[name])
    else:
        settle(model, objective, match, mixer, heard)

    told: list[list[float]] = []
    while step < options.steps:
        batch = mixer.batch(step)
        for group in optimizer.param_groups:
            group["lr"] = rate(step, options.steps)
        model.train()
        torch.manual_seed(options.seed + 1_000_003 * step)
        log_mel, labels, partners, share, vectors, logits = map(torch.from_numpy, batch)
        with torch.autocast("cpu", torch.bfloat16):  # in half the time, where the processor has it
            mine = model(log_mel)
        mine = mine.float()
        first = slice(0, len(mine) - N_OTHERS)
        labelled = objective(mine[first], labels[first], partners[first], share[first])
        losses = (labelled, *match(mine, vectors, logits))
        total = sum(w * loss for w, loss in zip((1.0, VECTORS, NEIGHBOURS, TAGS), losses, strict=True))
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        average.update_parameters(model)
        told.append([loss.item() for loss in losses])
        step += 1
        if step % SAVE_EVERY == 0 or step == options.steps:
            with written_whole(state) as partial:
                torch.save(
                    {name: part.state_dict() for name, part in parts.items()} | {"step": step}, partial
                )
            kept = {name: value.clone() for name, value in average.module.state_dict().items()}
            training = about | {"seed": options.seed, "steps": step}
            trained = replace(start, weights=kept, labels=tuple(seen.names), training=training, figures={})
            save_checkpoint(trained, options.output)
            with torch.no_grad():
                weight, bias = (match.scale * match.tags.weight).numpy(), match.tags.bias.numpy()
            np.savez(options.output.with_suffix(".tags.npz"), weight=weight, bias=bias)
            print(step, *(f"{value:.3f}" for value in np.mean(told, axis=0)), flush=True)
            told.clear()


if __name__ == "__main__":
    main()
