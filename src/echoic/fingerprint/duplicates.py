"""The same recording in two files of a library: another format, another level, a part of it.

Nothing is decoded: a file's stored windows are the query. Most files resemble no other closely enough to be
looked at further.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from echoic.fingerprint.decision import Decision
from echoic.fingerprint.identification import Heard, identify
from echoic.stores.base import VectorStore
from echoic.types import EncoderSpec, Float32, Segments

__all__ = ["duplicates_of"]

_NEIGHBOURS = 20
# Windows of one moment cut .256 s apart, the most there is between two files, have cosines about .8 and more;
# those of other music seldom reach .6.
_SIMILAR = 0.6
_ENOUGH = 6  # windows of a file that are similar to ones of one other file
_BATCH = 1024


def duplicates_of(
    file_id: int,
    store: VectorStore,
    spec: EncoderSpec,
    spans_of: Callable[[int], npt.NDArray[np.float64]],
    decision: Decision,
    *,
    least: float | None = None,
) -> Iterator[Heard]:
    """Find the files that hold the same sound as one does, and the spans of both.

    Parameters
    ----------
    file_id : int
    store : VectorStore
    spec : EncoderSpec
    spans_of : callable
        Gives the (start, end) seconds of each stored window of a file, shape (n, 2).
    decision : Decision
    least : float, optional
        Probability from which on a match is told; by default the decision's own threshold.
    """
    vectors, spans = store.vectors(file_id), spans_of(file_id)
    if len(vectors) != len(spans) or not _resembles_another(vectors, store, file_id):
        return
    segments = Segments(spans[:, 0], spans[:, 1], vectors)
    yield from identify(
        [segments], store, spec, lambda i: spans_of(i)[:, 0], decision, least=least, without={file_id}
    )


def _resembles_another(vectors: Float32, store: VectorStore, file_id: int) -> bool:
    counts: Counter[int] = Counter()
    for at in range(0, len(vectors), _BATCH):
        for found in store.search(vectors[at : at + _BATCH], _NEIGHBOURS):
            counts.update({n.file_id for n in found if n.score >= _SIMILAR and n.file_id != file_id})
    return bool(counts) and max(counts.values()) >= min(_ENOUGH, max(1, len(vectors) // 2))
