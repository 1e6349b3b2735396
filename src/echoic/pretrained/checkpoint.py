"""Reads checkpoints: those of transformers, folders with ``config.json`` and the weights, and others."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from tokenizers import Tokenizer
from transformers.utils import logging as transformers_logging

from echoic.encoders.families import Family
from echoic.errors import WeightsError, quoted
from echoic.nn.graph import first_line

__all__ = ["expecting", "front_end", "network", "silent", "tokenizer"]


def network(kind: type[Any], folder: Path, **changes: Any) -> Any:
    """Read a network, in evaluation mode; no code that may lie in the folder is run.

    Parameters
    ----------
    kind : type
        A model of transformers.
    folder : Path
    **changes
        Of the configuration.

    Raises
    ------
    WeightsError
        If the folder holds another network, or not all of its weights.
    """
    with _refusing(folder), silent():
        read, about = kind.from_pretrained(
            folder,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
            attn_implementation="eager",  # others are written for some devices
            dtype="float32",
            **changes,
        )
    # It would make up what is missing, at random.
    if about["missing_keys"]:
        missing = sorted(about["missing_keys"])
        raise WeightsError(
            f"{quoted(folder)} lacks {len(missing)} of the weights of a {kind.__name__}, such as {missing[0]}"
        )
    return read.eval()


def front_end(kind: type[Any], folder: Path) -> Any:
    """Read what a feature extractor of transformers does to a waveform.

    Raises
    ------
    WeightsError
        If the folder does not say.
    """
    with _refusing(folder), silent():
        return kind.from_pretrained(folder, local_files_only=True)


def tokenizer(folder: Path, most: int) -> str:
    """Read what makes tokens of words, and have it cut a text behind so many.

    Returns
    -------
    str
        In the JSON of the ``tokenizers`` library.

    Raises
    ------
    WeightsError
        If the folder has none.
    """
    path = folder / "tokenizer.json"
    try:
        read = Tokenizer.from_file(str(path))
    except Exception as error:  # it raises nothing more exact
        raise WeightsError(f"{quoted(path)} is no tokenizer ({error})") from error
    read.no_padding()
    read.enable_truncation(most)
    written: str = read.to_str()
    return written


# What reading a file raises that holds something else than weights, or weights of another network.
_UNLIKE = (
    *(OSError, EOFError, RuntimeError, ValueError, TypeError, LookupError, AttributeError),
    *(pickle.UnpicklingError, SafetensorError),
)


@contextmanager
def _refusing(folder: Path) -> Iterator[None]:
    try:
        yield
    except _UNLIKE as error:
        raise WeightsError(
            f"{quoted(folder)} does not hold the checkpoint that is meant ({first_line(error)})"
        ) from error


@contextmanager
def expecting(family: Family) -> Iterator[None]:
    """Say in one sentence that what is read within are not the weights of a network; raises WeightsError."""
    try:
        yield
    except _UNLIKE as error:
        raise WeightsError(
            f"the weights of {family.name} are not those of its network ({first_line(error)})"
        ) from error


@contextmanager
def silent() -> Iterator[None]:
    """Keep its reports and progress to itself; what matters of them is raised."""
    logging: Any = transformers_logging  # untyped
    level, shown = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "At least one mel filter")  # which is as it was in training
            yield
    finally:
        logging.set_verbosity(level)
        if shown:
            logging.enable_progress_bar()
