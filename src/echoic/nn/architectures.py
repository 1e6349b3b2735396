"""The networks by name, as recipes and checkpoints speak of them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from echoic.errors import ModelError
from echoic.nn.cnn import CnnEmbedder
from echoic.nn.embedder import Embedder
from echoic.nn.ensemble import Ensemble
from echoic.nn.grown import GrownEmbedder
from echoic.nn.hybrid import HybridEmbedder
from echoic.nn.mobile import MobileEmbedder
from echoic.nn.transformer import TransformerEmbedder
from echoic.untrusted import shown

__all__ = ["ARCHITECTURES", "build"]

ARCHITECTURES: Mapping[str, type[Embedder]] = MappingProxyType(
    {
        "cnn": CnnEmbedder,
        "mobile": MobileEmbedder,
        "transformer": TransformerEmbedder,
        "hybrid": HybridEmbedder,
        "grown": GrownEmbedder,
    }
)


def build(architecture: str, **config: Any) -> Embedder | Ensemble:
    """Make an untrained network.

    Parameters
    ----------
    architecture : {"cnn", "mobile", "transformer", "hybrid", "grown", "ensemble"}
    **config
        Settings of its class: ``n_mels``, ``n_frames``, ``dim`` and the architecture's own. Of an ensemble,
        ``members``: for each a dict with its ``architecture`` and its ``config``.

    Raises
    ------
    ModelError
        If there is no such architecture, or it cannot be made with these settings.

    Examples
    --------
    >>> build("cnn", dim=64).dim
    64
    """
    if architecture not in (*ARCHITECTURES, "ensemble"):
        raise ModelError(
            f"there is no architecture {shown(architecture)}; there are {', '.join(ARCHITECTURES)}"
        )
    try:
        if architecture == "ensemble":
            members = [(member["architecture"], member["config"]) for member in config["members"]]
            return Ensemble([build(name, **settings) for name, settings in members])
        return ARCHITECTURES[architecture](**config)
    except (ArithmeticError, AssertionError, LookupError, TypeError, ValueError, RuntimeError) as error:
        said = " ".join(str(error).split())[:200]
        raise ModelError(
            f"architecture {architecture} cannot be made with {shown(config)}: {said}"
        ) from error
