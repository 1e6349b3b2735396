"""From what speaks for an alignment to the probability that it is right.

A logistic model over the evidence, and over the evidence times the logarithm of the number of windows, since
the same margin means more when it holds for longer. It is fitted by ``recipes/fingerprint/decide.py`` on
recordings of which some are known and some are not, and ships beside the encoder with the cohort that the
evidence is measured against; the three belong together.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from echoic.encoders.base import Encoder, RecordingEncoder, normalize
from echoic.errors import EncoderError, UsageError
from echoic.recordings.evidence import FEATURES
from echoic.types import Float32
from echoic.untrusted import read_arrays

__all__ = ["Decision", "check_probability", "expanded"]

Float64 = npt.NDArray[np.float64]

_USUAL_LOG_WINDOWS = 3.0


def expanded(evidence: Float64) -> Float64:
    """Give what the logistic model takes: (n, features) → (n, 2 features - 1)."""
    longer = evidence[:, -1:] - _USUAL_LOG_WINDOWS
    return np.concatenate([evidence, evidence[:, :-1] * longer], axis=1)


@dataclass(frozen=True, slots=True, eq=False)
class Decision:
    """The fitted model, and the cohort.

    Parameters
    ----------
    revision : str
        Of the encoder that it was fitted for.
    cohort : ndarray of float32, shape (n, dim)
    mean, scale, weights : ndarray of float64, shape (2 len(FEATURES) - 1,)
    bias : float
    threshold : float
        Probability from which on an alignment is reported: few of those that are wrong reach it.
    """

    revision: str
    cohort: Float32
    mean: Float64
    scale: Float64
    weights: Float64
    bias: float
    threshold: float

    def probability(self, evidence: Float64) -> float:
        """Judge one alignment by its evidence, shape (len(FEATURES),)."""
        standardised = (expanded(evidence[None])[0] - self.mean) / self.scale
        return float(1 / (1 + np.exp(-(standardised @ self.weights + self.bias))))

    def save(self, path: Path) -> None:
        """Write it; the cohort as 8-bit codes, of which only the direction counts."""
        largest = np.abs(self.cohort).max(axis=1, keepdims=True)
        codes = np.round(127 * self.cohort / largest).astype(np.int8)
        fitted = {name: getattr(self, name) for name in ("mean", "scale", "weights", "bias", "threshold")}
        np.savez_compressed(path, revision=self.revision, features=FEATURES, cohort=codes, **fitted)

    @classmethod
    def load(cls, encoder: Encoder) -> Decision:
        """Read what was fitted for an encoder.

        Raises
        ------
        EncoderError
            If there is nothing, or it is for another revision.
        """
        if not isinstance(encoder, RecordingEncoder):
            raise EncoderError(f"{encoder.spec.name} has nothing by which recordings could be told")
        return _unpacked(encoder.spec.name, encoder.spec.revision, encoder.spec.dim, encoder.read_decision())


@lru_cache(maxsize=4)  # unpacking takes as long as encoding two seconds of sound
def _unpacked(name: str, revision: str, dim: int, content: bytes) -> Decision:
    try:
        arrays = read_arrays(content)
        if arrays["revision"].item() != revision or tuple(arrays["features"]) != FEATURES:
            raise EncoderError(
                f"what {name} decides by was fitted for another revision of it; install it anew"
            )
        if arrays["cohort"].shape[1:] != (dim,):
            raise ValueError(f"its cohort has shape {arrays['cohort'].shape}")
        return Decision(
            revision=revision,
            cohort=normalize(arrays["cohort"].astype(np.float32)),
            mean=arrays["mean"],
            scale=arrays["scale"],
            weights=arrays["weights"],
            bias=float(arrays["bias"]),
            threshold=float(arrays["threshold"]),
        )
    except (ValueError, LookupError) as error:
        raise EncoderError(
            f"what {name} decides by cannot be read ({error}); install the encoder anew"
        ) from error


def check_probability(min_score: float | None) -> None:
    """Refuse a lowest score that is no probability.

    Raises
    ------
    UsageError
    """
    if min_score is not None and not 0 <= min_score <= 1:
        raise UsageError(f"min_score is a probability from 0 to 1, and is {min_score:g}")
