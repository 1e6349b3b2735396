"""``echoic teach``: have a library learn what to find, by examples and answers."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from echoic.cli.options import Json, LibraryFolder, PathGlobs, Tags, expand_path, read_part, whole_number
from echoic.cli.output import as_clock, complain, counted, hit_line, note_teller, print_json, say, shorten
from echoic.errors import AudioError, UsageError
from echoic.search.result import Concept, Taught
from echoic.types import Hit

if TYPE_CHECKING:
    from echoic.cli.playing import Player
    from echoic.library import Library

_Span = tuple[Path, float | None, float | None]
_ANSWERS = {"y": "yes", "n": "no", "s": "skip", "q": "quit", "p": "play"}


def run(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="What is taught [default: list what was].")
    ] = None,
    yes: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE[@S-E]",
            help="An example of it, or the part of FILE from S to E; may be repeated.",
        ),
    ] = None,
    no: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE[@S-E]", help="An example of what is not it; may be repeated."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="DATA",
            parser=expand_path,
            help="Examples by their labels: what is labelled NAME is it, all else is not. DATA is label "
            "tracks, a selection table, a .csv or .tsv manifest, or a folder.",
        ),
    ] = None,
    ask: Annotated[
        bool,
        typer.Option(
            "--ask",
            help="Ask about places whose answer helps most, and play them if there is a player; where there "
            "is no terminal, print them.",
        ),
    ] = False,
    k: Annotated[
        int,
        typer.Option(
            "-k", metavar="N", parser=whole_number(1), help="With --ask: about how many.", show_default="10"
        ),
    ] = 10,
    forget: Annotated[
        bool, typer.Option("--forget", help="Forget NAME with all that was said of it.")
    ] = False,
    path: PathGlobs = None,
    tag: Tags = None,
    json: Json = False,
    library: LibraryFolder = None,
) -> None:
    """Teach a library what to find, by examples and answers.

    They add up over calls. What was taught is found by: echoic search --concept NAME --every. It needs the
    encoder events (echoic index FOLDER --encoder events) to find where it begins and ends; else windows are
    found.
    """
    from echoic.library import Library

    if name is None and (yes or no or data or ask or forget):
        raise UsageError("say what is taught: echoic teach NAME …")
    if forget and (yes or no or data or ask):
        raise UsageError("--forget goes with neither --yes, --no, --from nor --ask")
    if not ask and (path or tag):
        raise UsageError("--path and --tag choose what is asked about: give --ask as well")
    examples = [
        [_span(one, option) for one in given or ()] for option, given in (("--yes", yes), ("--no", no))
    ]
    if name is not None and data is not None:
        examples = [given + more for given, more in zip(examples, _labelled(name, data), strict=True)]
    with Library(library, noted=note_teller()) as lib:
        if name is None:
            _list(lib.concepts(), json=json)
            return
        if forget:
            lib.forget_concept(name)
            return
        taught = lib.teach(name, *examples) if any(examples) else None
        if taught is not None:
            _tell_changes(taught)
        if ask:
            among = {"path": path or None, "tags": tag or ()}
            _ask(lib, name, k, among, json=json)
        elif taught is not None:
            _list([taught.concept], json=json)
            _advise(taught.concept)
        else:
            _list([lib.concept(name)], json=json)
    if taught is not None and taught.failed:
        raise typer.Exit(1)


def _span(text: str, option: str) -> _Span:
    path, (start, end) = read_part(text, option)
    return path, start, end


def _labelled(name: str, data: Path) -> list[list[_Span]]:
    """Read what is labelled as the concept, and what is labelled otherwise; without labels all is meant."""
    from echoic.audio.tags import folded
    from echoic.datasets import name_some, read_dataset

    dataset = read_dataset(data)
    if dataset.note:
        complain(f"note: {dataset.note}")
    examples: list[list[_Span]] = [[], []]
    for clip in dataset.clips:
        is_it = not clip.label or folded(clip.label) == folded(name)
        examples[not is_it].append((clip.path, clip.start, clip.end))
    if not examples[0]:
        raise UsageError(
            f"nothing is labelled {name!r} in {dataset.name}; its labels are {name_some(dataset.labels)}"
        )
    return examples


def _list(concepts: list[Concept], *, json: bool) -> None:
    for concept in concepts:
        if json:
            print_json(asdict(concept))
            continue
        shares = [
            f"{name} {value:.2f} ({low:.2f}–{high:.2f})"
            for name, share in (("precision", concept.precision), ("recall", concept.recall))
            if share is not None
            for value, low, high in [share]
        ]
        known = f"{concept.name}: {concept.yes} yes, {concept.no} no"
        say("; ".join([known, *shares]))
    if not concepts and not json:
        complain("nothing was taught; teach a concept: echoic teach NAME --yes FILE")


def _tell_changes(taught: Taught) -> None:
    for _, sentence in taught.failed:
        complain(f"error: {sentence}")
    for path, start, end in taught.changed:
        where = "" if start is None and end is None else f" from {_time(start)} to {_time(end)}"
        complain(f"note: {shorten(path)}{where} was answered the other way before; what is said now counts")


def _time(seconds: float | None) -> str:
    return "its end" if seconds is None else as_clock(seconds)


def _advise(concept: Concept) -> None:
    """Say what is missing most."""
    if concept.yes == 1:
        complain(
            "note: one example only finds what one search would; more examples, and answers to "
            "echoic teach NAME --ask, make it surer"
        )
    elif not concept.no:
        complain("note: no example of what it is not: give --no FILE, or answer echoic teach NAME --ask")


def _ask(lib: Library, name: str, k: int, among: Mapping[str, Any], *, json: bool) -> None:
    if json or not (sys.stdin.isatty() and sys.stdout.isatty()):
        hits = lib.proposals(name, k, **among)
        for hit in hits:
            if json:
                print_json(asdict(hit))
            else:
                say(hit_line(hit))
        if not hits and not json:
            complain("nothing left to ask about")
        return
    from echoic.cli.playing import Player

    player = Player()
    if not player.is_there:
        complain("note: no player was found (ffplay, pw-play, paplay, aplay, afplay); listen to it elsewhere")
    passed: set[tuple[str, float, float]] = set()
    n_answered = 0
    while n_answered + len(passed) < k:
        # Few at a time, so that each answer counts for the next question.
        hits = lib.proposals(name, len(passed) + 2, **among)
        hits = [hit for hit in hits if _key(hit) not in passed][: k - n_answered - len(passed)]
        if not hits:
            complain("nothing left to ask about")
            break
        for hit in hits:
            answer = _answer(hit, player, f"{n_answered + len(passed) + 1}/{k}")
            if answer == "quit":
                k = 0
                break
            if answer == "skip":
                passed.add(_key(hit))
                continue
            span = (hit.path, hit.start, hit.end)
            lib.teach(name, **{answer: [span]})  # kept at once: whoever stops here loses nothing
            n_answered += 1
    say(f"{counted(n_answered, 'answer')}")
    _list([lib.concept(name)], json=False)


def _key(hit: Hit) -> tuple[str, float, float]:
    return hit.path, hit.start, hit.end


def _answer(hit: Hit, player: Player, place: str) -> str:
    """Play a span, and ask whether it is meant: yes, no, skip or quit."""
    is_heard = False
    while True:
        if player.is_there and not is_heard:
            try:
                why_not = player.play(Path(hit.path), hit.start, hit.end)
            except AudioError as error:
                why_not = str(error)
            if why_not:
                complain(f"note: it could not be played ({why_not}); listen to it elsewhere")
            is_heard = True
        where = f"{shorten(hit.path)} from {as_clock(hit.start)} to {as_clock(hit.end)}"
        sys.stdout.write(f"{place}  {where}, likely {hit.score:.2f}: is it? [y]es [n]o [s]kip [p]lay [q]uit ")
        sys.stdout.flush()
        line = sys.stdin.readline()
        answer = _ANSWERS.get(line.strip().lower()[:1], "") if line else "quit"
        if answer == "play":
            is_heard = False
        elif answer:
            return answer
