"""Networks that others trained and that can be added to an installation, each by a name of its own.

This is what is known of them before any is fetched. How one is turned into a model that Echoic runs is
written in :mod:`echoic.pretrained`, a module a family.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from echoic.encoders.weights import HubFile, WheelFile

__all__ = ["FAMILIES", "Family", "models_folder"]

_FOLDER_VARIABLE = "ECHOIC_MODELS"


@dataclass(frozen=True, slots=True)
class Family:
    """A pretrained network.

    Parameters
    ----------
    name : str
        As given to ``--encoder`` once it is added.
    description : str
        What it is good for, in a few words.
    licence : str
        SPDX name of the licence of the weights.
    reference : str
        The paper.
    module : str
        Module of ``echoic.pretrained`` that builds it.
    files : tuple of WheelFile or HubFile
        Its weights and what says how they are meant.
    """

    name: str
    description: str
    licence: str
    reference: str
    module: str
    files: tuple[WheelFile | HubFile, ...]


_ALL = (
    Family(
        "aisfx",
        "sound effects as their libraries sort them; a CNN on spectrograms",
        "CC-BY-4.0",
        "Ma and Lerch, Representation learning for the automatic indexing of sound effects, ISMIR 2022",
        "aisfx",
        (
            WheelFile(
                "aisfx",
                "0.1.2",
                "aisfx/models/checkpoint.pth",
                "499ea75909c932a2f94c35fa722fa4fabc5bcb7e84917209cc5f7402627b7eb5",
            ),
        ),
    ),
    Family(
        "resemblyzer",
        "who speaks, whatever is said; a recurrent network on mel spectrograms",
        "Apache-2.0",
        "Wan et al., Generalized end-to-end loss for speaker verification, ICASSP 2018",
        "resemblyzer",
        (
            WheelFile(
                "Resemblyzer",
                "0.1.4",
                "resemblyzer/pretrained.pt",
                "39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e",
            ),
        ),
    ),
)

#: By name.
FAMILIES = {family.name: family for family in _ALL}


def models_folder() -> Path:
    """Return where added models lie: ``$ECHOIC_MODELS``, or else in the platform's folder for user data."""
    given = os.environ.get(_FOLDER_VARIABLE)
    if given:
        return Path(given)
    import platformdirs

    return platformdirs.user_data_path("echoic-models", appauthor=False)
