"""A plane to look at vectors on."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
import numpy.typing as npt

from echoic.encoders.base import normalize
from echoic.types import Float32

__all__ = ["Projection", "project"]

_PERPLEXITY = 30.0
# With fewer there is no neighbourhood to keep.
_LEAST_FOR_TSNE = 12


@dataclass(frozen=True, slots=True, eq=False)
class Projection:
    """Points on a plane, shape (n, 2), and how they came there: ``"t-SNE"`` or ``"PCA"``."""

    points: npt.NDArray[np.float64]
    method: str


def project(vectors: Float32) -> Projection:
    """Lay vectors out on a plane so that neighbours stay neighbours, the same way every time.

    By t-SNE where scikit-learn is installed, which it is with ``echoic[train]``; else, and for a handful of
    vectors or of different ones, by their first two principal components.

    Parameters
    ----------
    vectors : ndarray of float32, shape (n, dim)
        Compared by their cosine.

    Returns
    -------
    Projection

    References
    ----------
    Van der Maaten and Hinton, "Visualizing data using t-SNE", Journal of Machine Learning Research 9, 2008.

    Examples
    --------
    >>> project(np.eye(3, dtype=np.float32)).points.shape
    (3, 2)
    """
    directions = normalize(vectors).astype(np.float64)
    if len(np.unique(directions, axis=0)) < _LEAST_FOR_TSNE or find_spec("sklearn") is None:
        return Projection(_principal(directions), "PCA")
    from sklearn.manifold import TSNE  # type: ignore[import-untyped,import-not-found,unused-ignore]
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped,import-not-found,unused-ignore]

    perplexity = min(_PERPLEXITY, len(directions) / 4)
    # Several threads would add up in another order each time, and the layout would drift apart.
    with threadpool_limits(1):
        layout = TSNE(init="pca", perplexity=perplexity, random_state=0, n_jobs=1).fit_transform(directions)
    return Projection(layout.astype(np.float64), "t-SNE")


def _principal(vectors: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    centred = vectors - vectors.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    axes = axes[:2]
    # An axis may as well point the other way: let its largest component be positive.
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1)
    points = centred @ (axes * np.where(largest < 0, -1, 1)).T
    return np.pad(points, ((0, 0), (0, 2 - points.shape[1])))
