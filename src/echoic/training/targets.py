"""What another encoder makes of the clips, for a network to learn to predict: distillation.

The targets are vectors with the span of the clip that each was made of, as ``echoic embed`` writes them: so
any encoder can teach, whatever its window, and so can an archive that somebody else's model wrote.

References
----------
Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network", 2015; on embeddings instead of
classes, Passalis and Tefas, "Learning deep representations with probabilistic knowledge transfer", ECCV 2018.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from echoic.errors import DatasetError, quoted
from echoic.types import Float32

__all__ = ["Targets", "read_targets"]

Float64 = npt.NDArray[np.float64]

_COMMAND = "echoic embed DATA --segments --encoder NAME -o OUT.npz"


@dataclass(frozen=True, slots=True)
class _Spans:
    """The vectors of one clip, (n, dim), and the seconds that each is of, (n,)."""

    starts: Float64
    ends: Float64
    vectors: Float32


class Targets:
    """The vectors of some clips, by clip and time.

    Vectors of real encoders crowd around one direction, which says nothing of any clip: it is taken out. Each
    clip has the same part in it, however long it is.

    Parameters
    ----------
    name : str
        Who made them.
    spans : sequence of (starts, ends, vectors) or None
        For each clip: seconds, shape (n,), and vectors, shape (n, dim). None for one that has none.

    Raises
    ------
    ValueError
        If no clip has any.
    """

    def __init__(self, name: str, spans: Sequence[tuple[Float64, Float64, Float32] | None]) -> None:
        self.name = name
        given = [part[2] for part in spans if part is not None]
        if not given:
            raise ValueError("there is no vector to learn from")
        self.n_clips = len(given)
        self.digest = hashlib.sha256(b"".join(np.ascontiguousarray(v).tobytes() for v in given)).hexdigest()
        centre = np.mean([vectors.mean(axis=0) for vectors in given], axis=0, dtype=np.float64)
        self.dim = given[0].shape[1]
        self._spans: list[_Spans | None] = []
        for part in spans:
            if part is None:
                self._spans.append(None)
                continue
            starts, ends, vectors = part
            apart = vectors - centre
            apart /= np.maximum(np.linalg.norm(apart, axis=1, keepdims=True), 1e-9)
            self._spans.append(_Spans(starts, ends, apart.astype(np.float32)))

    def of(self, clip: int, start: float, end: float) -> Float32:
        """Average the vectors of a clip over a stretch of it, each by how much of it falls in there.

        Parameters
        ----------
        clip : int
        start, end : float
            Seconds.

        Returns
        -------
        ndarray of float32, shape (dim,)
            Of length 1; all 0 where there is nothing to learn from.
        """
        spans = self._spans[clip]
        if spans is None:
            return np.zeros(self.dim, np.float32)
        shared = np.minimum(spans.ends, end) - np.maximum(spans.starts, start)
        mean: Float32 = np.maximum(shared, 0).astype(np.float32) @ spans.vectors
        length = np.linalg.norm(mean)
        return mean / length if length > 0 else mean


def read_targets(archive: Path, paths: Sequence[Path]) -> Targets:
    """Read the vectors of clips from what ``echoic embed`` wrote.

    Parameters
    ----------
    archive : Path
        With the arrays ``paths`` and ``vectors``, and ``starts`` and ``ends`` in seconds where a file has
        several; without them a vector is of its whole file.
    paths : sequence of Path
        The clips. One that the archive does not know has no target.

    Raises
    ------
    DatasetError
        If it cannot be read, is no such archive, or knows none of the clips.
    """
    try:
        with archive.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            read = {name: arrays[name] for name in arrays.files}
    except Exception as error:  # whatever an archive made up by somebody leads NumPy to
        # What NumPy says of a file that is no archive of arrays is how to load it all the same: not here.
        reason = (
            error.strerror if isinstance(error, OSError) else "it is no .npz archive of arrays, or damaged"
        )
        raise DatasetError(
            f"the teacher's vectors {quoted(archive)} cannot be read ({reason}); write them with: {_COMMAND}"
        ) from error
    _check(read, archive)
    vectors = read["vectors"].astype(np.float32)
    starts = read.get("starts", np.zeros(len(vectors))).astype(np.float64)
    ends = read.get("ends", np.full(len(vectors), np.inf)).astype(np.float64)
    absolute = np.array([os.path.abspath(path) for path in read["paths"].tolist()])
    order = np.argsort(absolute, kind="stable")
    known, first = np.unique(absolute[order], return_index=True)
    rows = dict(zip(known.tolist(), np.split(order, first[1:]), strict=True))
    places = [rows.get(os.path.abspath(path)) for path in paths]
    if all(at is None for at in places):
        raise DatasetError(
            f"{quoted(archive)} has no vectors of any of the {len(paths)} clips to learn from; "
            f"write those of the same files with: {_COMMAND}"
        )
    spans = [None if at is None else (starts[at], ends[at], vectors[at]) for at in places]
    return Targets(str(read.get("encoder", archive.name)), spans)


def _check(arrays: Mapping[str, npt.NDArray[np.generic]], archive: Path) -> None:
    """See to it that an archive holds what ``echoic embed`` writes."""
    wrong = None
    missing = [name for name in ("paths", "vectors") if name not in arrays]
    if missing:
        wrong = f"it has no array {missing[0]!r}"
    elif arrays["paths"].dtype.kind != "U":
        wrong = "its paths are no text"
    elif arrays["vectors"].ndim != 2 or arrays["vectors"].dtype.kind != "f":
        wrong = "its vectors are no table of numbers"
    elif any(arrays[name].dtype.kind not in "fiu" for name in ("starts", "ends") if name in arrays):
        wrong = "its times are no numbers"
    elif any(
        len(arrays[name]) != len(arrays["vectors"]) for name in ("paths", "starts", "ends") if name in arrays
    ):
        wrong = "its arrays are not of one length"
    elif not np.isfinite(arrays["vectors"]).all():
        wrong = "some of its vectors are not finite"
    if wrong is not None:
        raise DatasetError(
            f"{quoted(archive)} is not what 'echoic embed' writes: {wrong}; write it with: {_COMMAND}"
        )
