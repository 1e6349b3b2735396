"""Which clips make up each batch.

Losses of pairs and triplets learn nothing from a batch that has one clip of each class. So a batch is P
classes times K clips, as Hermans, Beyer and Leibe have it in "In defense of the triplet loss for person
re-identification", 2017.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
import numpy.typing as npt

from echoic.errors import DatasetError

__all__ = ["PKSampler"]


class PKSampler:
    """Draws batches of some clips of some classes.

    Classes are drawn without replacement within a batch, one after the other, each time with probabilities
    in proportion to the weights of those that are left. Clips of a class are drawn without replacement until
    all have been, then anew; so at any time none was drawn more than once more often than another. A batch
    has a clip twice only if it takes more clips of a class than there are: two crops of one recording are
    then each other's positives. That is also how to learn without labels: every recording is a class.

    Parameters
    ----------
    labels : sequence of int
        The class of each clip, 0 or more; numbers that no clip has are not drawn.
    n_classes_per_batch, n_per_class : int
        Where there are fewer classes, a batch has all of them and as many more clips of each as keep its
        size; those left over go to the classes drawn first.
    weights : sequence of float, optional
        For each class, by its number, how often it is to be drawn relative to the others; a class of weight
        0 never is. All alike unless given.
    seed : int

    Raises
    ------
    DatasetError
        If no clip can be drawn, or a weight is negative or not finite.
    ValueError
        If a size is not positive, or labels and weights do not fit together.

    Examples
    --------
    >>> sampler = PKSampler([0, 0, 0, 1, 1, 2], n_classes_per_batch=2, n_per_class=2)
    >>> len(sampler.draw(0)), sampler.batch_size
    (4, 4)
    """

    def __init__(
        self,
        labels: Sequence[int] | npt.NDArray[np.integer],
        n_classes_per_batch: int,
        n_per_class: int,
        *,
        weights: Sequence[float] | npt.NDArray[np.floating] | None = None,
        seed: int = 0,
    ) -> None:
        if n_classes_per_batch < 1 or n_per_class < 1:
            raise ValueError(
                f"a batch has at least one clip, not {n_classes_per_batch} classes × {n_per_class} clips"
            )
        numbers = np.asarray(labels, np.int64)
        if numbers.ndim != 1:
            raise ValueError(f"labels must be one to a clip, not of shape {numbers.shape}")
        if len(numbers) == 0:
            raise DatasetError("there is no clip to train on; give a folder or a manifest that has some")
        if numbers.min() < 0:
            raise ValueError(f"classes are numbered from 0, not from {numbers.min()}")
        odds = np.ones(numbers.max() + 1) if weights is None else np.asarray(weights, np.float64)
        if odds.ndim != 1 or len(odds) <= numbers.max():
            raise ValueError(f"weights of shape {odds.shape} do not fit {numbers.max() + 1} classes")
        if not (np.isfinite(odds) & (odds >= 0)).all():
            raise DatasetError("the weight of a class must be 0 or more and finite; correct the manifest")

        classes = [int(label) for label in np.unique(numbers) if odds[label] > 0]
        if not classes:
            raise DatasetError("every class has the weight 0, so there is none to train on; raise some")
        self.batch_size = n_classes_per_batch * n_per_class
        self._n_chosen = min(n_classes_per_batch, len(classes))
        self._odds = odds[classes]
        by_class = np.argsort(numbers, kind="stable")
        members = np.split(by_class, np.cumsum(np.bincount(numbers))[:-1])
        self._members = [members[label] for label in classes]
        # Not the stream of the seed itself, which who draws augmentations with it and step 0 has already.
        self._seed = np.random.SeedSequence(seed).spawn(1)[0]
        self._rest = self._sequence()
        self._next = 0

    def draw(self, step: int) -> npt.NDArray[np.int64]:
        """Draw the batch of a step.

        It depends on the step and the parameters of the sampler alone, so that a training that was stopped
        goes on with the very batches it would have had. It takes as long as all batches between the one
        drawn last and this one, or, going back, all from the first.

        Parameters
        ----------
        step : int
            0 or more.

        Returns
        -------
        ndarray of int64, shape (batch_size,)
            Indices into ``labels``; those of a class lie side by side.
        """
        if step < self._next:
            self._rest, self._next = self._sequence(), 0
        batch = next(islice(self._rest, step - self._next, None))
        self._next = step + 1
        return batch

    def _sequence(self) -> Iterator[npt.NDArray[np.int64]]:
        rng = np.random.default_rng(self._seed)
        waiting: list[deque[int]] = [deque() for _ in self._members]
        fewest, n_left_over = divmod(self.batch_size, self._n_chosen)
        while True:
            batch: list[int] = []
            for place, number in enumerate(self._choose(rng)):
                n_clips = fewest + (place < n_left_over)
                batch += _take(n_clips, waiting[number], self._members[number], rng)
            yield np.array(batch, np.int64)

    def _choose(self, rng: np.random.Generator) -> npt.NDArray[np.intp]:
        # Whose clocks, of rates in proportion to the weights, ring first: this is the same as drawing one
        # class after the other, in one pass (Efraimidis and Spirakis 2006).
        rings = rng.standard_exponential(len(self._odds)) / self._odds
        first = np.argpartition(rings, self._n_chosen - 1)[: self._n_chosen]
        return first[np.argsort(rings[first])]


def _take(
    n_clips: int, waiting: deque[int], members: npt.NDArray[np.int64], rng: np.random.Generator
) -> list[int]:
    taken: list[int] = []
    while len(taken) < n_clips:
        if not waiting:
            fresh = rng.permutation(members).tolist()
            # Where a round ends within a batch, what the batch has already is the last of the next round.
            waiting.extend(sorted(fresh, key=taken.count) if taken else fresh)
        taken.append(waiting.popleft())
    return taken
