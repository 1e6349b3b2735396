"""What can be trained by name: a network, an objective, and the few settings that suit the two together.

Names are ``ARCHITECTURE-OBJECTIVE``: ``cnn-supcon``, ``hybrid-triplet``. What all recipes share (front end,
augmentation, schedule) is not here. Importing this module loads no torch, so that recipes can be listed
without it.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from echoic.errors import UsageError

__all__ = ["RECIPES", "Recipe", "find_recipe"]

_N_SUGGESTED = 3


@dataclass(frozen=True, slots=True)
class Recipe:
    """A way to train a model.

    Attributes
    ----------
    name : str
        ``ARCHITECTURE-OBJECTIVE``.
    architecture : str
        A name that :mod:`echoic.nn` builds.
    objective : str
        A name that :func:`echoic.training.objectives.make_objective` makes.
    description : str
        One line of at most 90 characters.
    learning_rate : float
        The highest of the schedule, for AdamW.
    n_classes_per_batch, n_per_class : int
        Classes of a batch and clips of each; see :class:`echoic.training.samplers.PKSampler`.
    """

    name: str
    architecture: str
    objective: str
    description: str
    learning_rate: float
    n_classes_per_batch: int
    n_per_class: int


@dataclass(frozen=True, slots=True)
class _Architecture:
    phrase: str
    learning_rate: float


@dataclass(frozen=True, slots=True)
class _Objective:
    phrase: str
    n_classes_per_batch: int
    n_per_class: int


# Attention diverges at rates at which convolutions with batch norm learn best.
_ARCHITECTURES = {
    "cnn": _Architecture("residual CNN", 1.5e-3),
    "mobile": _Architecture("inverted residuals, few parameters", 1.5e-3),
    "transformer": _Architecture("transformer over patches", 5e-4),
    "hybrid": _Architecture("CNN, then transformer over time", 8e-4),
}

# Batches: the hardest of several clips means something only if there are several (Hermans et al. 2017 have
# 4 of each class); NT-Xent takes two views and all negatives it can get; proxies need no pairs at all.
_OBJECTIVES = {
    "contrastive": _Objective("pairs, alike or not", 16, 2),
    "triplet": _Objective("triplets, hardest of each batch", 8, 4),
    "triplet-semihard": _Objective("triplets, semi-hard", 8, 4),
    "ntxent": _Objective("one positive among all negatives", 32, 2),
    "supcon": _Objective("all of a class among all others", 16, 2),
    "proxy": _Objective("a proxy for each class", 32, 1),
    "arcface": _Objective("classes apart by an angular margin", 32, 1),
}


def _recipes() -> dict[str, Recipe]:
    recipes = [
        Recipe(
            name=f"{architecture}-{objective}",
            architecture=architecture,
            objective=objective,
            description=f"{network.phrase}; {loss.phrase}",
            learning_rate=network.learning_rate,
            n_classes_per_batch=loss.n_classes_per_batch,
            n_per_class=loss.n_per_class,
        )
        for architecture, network in _ARCHITECTURES.items()
        for objective, loss in _OBJECTIVES.items()
    ]
    return {recipe.name: recipe for recipe in recipes}


#: Every recipe by its name.
RECIPES: Mapping[str, Recipe] = MappingProxyType(_recipes())


def find_recipe(name: str) -> Recipe:
    """Find a recipe by its name.

    Raises
    ------
    UsageError
        If there is none; the message names the nearest.

    Examples
    --------
    >>> find_recipe("hybrid-triplet").n_per_class
    4
    """
    try:
        return RECIPES[name]
    except KeyError:
        pass
    near = difflib.get_close_matches(name.lower(), RECIPES, n=_N_SUGGESTED)
    if near:
        advice = f"did you mean {' or '.join(near)}?"
    else:
        advice = (
            f"join an architecture ({', '.join(_ARCHITECTURES)}) and an objective ({', '.join(_OBJECTIVES)}) "
            "by a hyphen, as in cnn-supcon"
        )
    raise UsageError(f"there is no recipe named {name!r}; {advice}")
