"""``echoic encoders``: what can be chosen with ``--encoder``."""

from __future__ import annotations

from dataclasses import asdict

import typer

from echoic.cli.models import in_words, measured
from echoic.cli.options import Json
from echoic.cli.output import complain, print_json, say
from echoic.errors import EchoicError


def run(json: Json = False) -> None:
    """List the encoders that are installed.

    The exit code is 1 if one of them cannot be loaded.
    """
    from echoic.encoders.registry import MODELS, available

    registry = available()
    broken = False
    for entry in registry:
        try:
            spec = registry.load(entry.name).spec
        except EchoicError as error:
            complain(f"error: {error}")
            broken = True
            continue
        figures = measured(entry.name) if entry.provider == MODELS else {}
        if json:
            sets = {"inputs": sorted(spec.inputs), "purposes": sorted(spec.purposes)}
            print_json(asdict(spec) | sets | {"provider": entry.provider, "figures": figures})
        else:
            windows = f"{spec.window:g} s windows every {spec.hop:g} s"
            cut = f"what is heard, up to {spec.window:g} s" if spec.by == "event" else windows
            shape = f"{spec.dim}-d, {cut} at {spec.sample_rate} Hz"
            words = ", takes words" if "text" in spec.inputs else ""
            words += " and pictures" if "picture" in spec.inputs else ""
            about = f"{spec.description} [{spec.licence}, {entry.provider}]{in_words(figures)}"
            say(f"{spec.name:<12} {shape}{words}; {about}")
    if broken:
        raise typer.Exit(1)
