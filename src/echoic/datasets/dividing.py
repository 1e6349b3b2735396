"""Clips to learn from and clips to measure on: divided by groups, never through one."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from echoic.datasets.clips import Clip, Dataset, name_some, side_of
from echoic.errors import DatasetError, UsageError

__all__ = ["check_trainable", "divide"]

# Held-out groups of a label: a clip is a hit for one of its label in another group, which two make possible.
_PAIR = 2


def divide(dataset: Dataset, *, validation: float = 0.2, seed: int = 0) -> tuple[Dataset, Dataset]:
    """Divide a data set into clips to learn from and clips to measure on.

    The ``split`` of the clips decides where it names any for validation: "validation", "valid", "val" or
    "dev"; "train", "training" and none at all mean to learn from them. Otherwise whole groups of those are
    held out, of each label about the share asked for: at least two groups where it has four or more, one
    where it has two or three, and none of a label that would be left with nothing to learn from. Clips of
    any other split, "test" say, are in neither part.

    The result depends on the seed and on what is in the data set: neither on the order of its clips, nor on
    the folder that they lie in.

    Parameters
    ----------
    dataset : Dataset
    validation : float
        Share of the clips to hold out, 0 … 1, where the data set does not say; at 0 none are.
    seed : int
        Chooses the groups.

    Returns
    -------
    train, validation : Dataset
        Clips in the order of the data set.

    Raises
    ------
    DatasetError
        If nothing is left to learn from or can be held out, or the splits of the data set put clips of one
        group on two sides, or only some of the labels of its validation split can be learnt from the other.
    UsageError
        If the share is not one.
    """
    if not 0 <= validation < 1:
        raise UsageError(f"the share to validate on must be at least 0 and less than 1, not {validation:g}")
    sides: dict[str, list[Clip]] = defaultdict(list)
    for clip in dataset.clips:
        sides[side_of(clip)].append(clip)
    _check_groups(dataset)
    if not sides["training"]:
        splits = name_some({clip.split for clip in dataset.clips})
        raise DatasetError(
            f"{dataset.name} has no clips to learn from: its splits are {splits}; call one of them 'train'"
        )
    if sides["validation"]:
        _check_labels(dataset.name, sides["training"], sides["validation"])
        held = frozenset(clip.group for clip in sides["validation"])
    elif validation:
        held = _held_out(sides["training"], validation, seed)
        if not held:
            raise DatasetError(
                f"nothing of {dataset.name} can be held out to measure on: "
                + (
                    "each class has one clip or group only; give two or more of some, better four"
                    if dataset.labelled
                    else "without labels that takes at least three recordings or groups; add some"
                )
            )
    else:
        held = frozenset()
    used = [clip for clip in dataset.clips if side_of(clip) in ("training", "validation")]
    return (
        Dataset(dataset.name, tuple(clip for clip in used if clip.group not in held)),
        Dataset(dataset.name, tuple(clip for clip in used if clip.group in held)),
    )


def check_trainable(train: Dataset, validation: Dataset) -> None:
    """See that a space can be learnt from one part of a data set and measured on the other.

    Parameters
    ----------
    train, validation : Dataset
        As :func:`divide` gives them. Nothing is asked of an empty validation part.

    Raises
    ------
    DatasetError
        If there is nothing to tell apart, or no two clips that belong together.
    """
    if not (train.labelled and validation.labelled):
        if len(train.clips) < 2:
            raise DatasetError(
                f"{train.name} has {len(train.clips)} recording to learn from; without labels a space needs "
                "at least two to tell apart"
            )
        return
    for part, role in ((train, "to learn from"), (validation, "to measure on")):
        if len(part.labels) == 1:
            raise DatasetError(
                f"{part.name} has only one class, {part.labels[0]!r}, {role}; "
                "a space needs at least two to tell apart"
            )
    if len(train.clips) == len(train.labels):
        raise DatasetError(
            f"{train.name} has only one clip of each class to learn from; "
            "a space needs classes of at least two clips to bring together"
        )
    groups = Counter(label for label, _ in {(clip.label, clip.group) for clip in validation.clips})
    if groups and max(groups.values()) < _PAIR:
        raise DatasetError(
            f"{validation.name} cannot be measured on: no class has two clips or groups held out that could "
            "find each other; give some classes at least four"
        )


def _check_groups(dataset: Dataset) -> None:
    sides: dict[str, str] = {}
    for clip in dataset.clips:
        side = side_of(clip)
        if side and sides.setdefault(clip.group, side) != side:
            raise DatasetError(
                f"the group {clip.group!r} of {dataset.name} has clips in the {sides[clip.group]} split and "
                f"in the {side} split; put all clips of a group into one"
            )


def _check_labels(name: str, train: Sequence[Clip], validation: Sequence[Clip]) -> None:
    learnt = {clip.label for clip in train}
    measured = {clip.label for clip in validation}
    # With none in common it is meant: how well the space holds for classes that it never saw.
    if learnt & measured and measured - learnt:
        strange = measured - learnt
        noun, verb = ("label", "is") if len(strange) == 1 else ("labels", "are")
        raise DatasetError(
            f"{noun} {name_some(strange)} {verb} only in the validation split of {name}: "
            "learn from some of their clips too, or validate on classes that are all new"
        )


def _held_out(clips: Sequence[Clip], share: float, seed: int) -> frozenset[str]:
    """Choose the groups to hold out: a share of each label, and something of each left to learn from."""
    sizes: dict[str, Counter[str]] = defaultdict(Counter)  # of each group, its clips by label
    for clip in clips:
        sizes[clip.group][clip.label] += 1
    n_clips = Counter(clip.label for clip in clips)
    n_groups = Counter(label for group in sizes.values() for label in group)
    target = {label: max(1, round(share * n)) for label, n in n_clips.items()}
    held_clips: Counter[str] = Counter()
    held_groups: Counter[str] = Counter()
    held: set[str] = set()

    def may_go(group: str) -> bool:
        # Without a label it is recordings that are told apart, and one alone cannot be.
        return group not in held and all(
            n_groups[label] - held_groups[label] > (1 if label else 2) for label in sizes[group]
        )

    def hold(group: str) -> None:
        held.add(group)
        held_clips.update(sizes[group])
        held_groups.update(sizes[group].keys())

    def gain(group: str) -> float:
        """How much nearer to the targets the group brings its labels, by squared distance."""
        return sum(
            n * (2 * (target[label] - held_clips[label]) - n) / n_clips[label]
            for label, n in sizes[group].items()
        )

    ordered = sorted(sizes)
    shuffled = [ordered[place] for place in np.random.default_rng(seed).permutation(len(ordered))]
    for group in shuffled:
        if may_go(group) and gain(group) > 0:
            hold(group)
    # Groups larger than the share asked for, and labels of which it is less than a pair.
    smallest_first = sorted(shuffled, key=lambda group: sizes[group].total())
    for label in sorted(n_groups):
        wanted = _PAIR if n_groups[label] >= 2 * _PAIR else 1
        for group in smallest_first:
            if held_groups[label] >= wanted:
                break
            if label in sizes[group] and may_go(group):
                hold(group)
    return frozenset(held)
