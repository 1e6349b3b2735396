"""``echoic search``: find what sounds like an example, or fits words."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from echoic.addresses import in_bucket
from echoic.arguments import WORDS
from echoic.cli.options import (
    Csv,
    EncoderName,
    Json,
    LibraryFolder,
    PathGlobs,
    Tags,
    expand,
    expand_example,
    expand_path,
    expand_place,
    number,
    one_of,
    parted,
    read_part,
    refuse_address,
    time_option,
    whole_number,
)
from echoic.cli.output import (
    complain,
    csv_printer,
    hit_line,
    note_teller,
    print_json,
    print_names_as_bytes,
    progress_bar,
    say,
    shorten,
)
from echoic.errors import UnreadableError, UsageError, quoted
from echoic.scanning import PICTURES, SUFFIXES, suffix_of
from echoic.types import Hit, PhraseHit
from echoic.untrusted import shown

Writer = Callable[[Hit], None]


_INDENT = " " * 13  # of what is said, below when
_BY = ("sound", "picture")  # what of a file is asked by


def run(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE",
            parser=expand_place,
            help="The example, or a picture; need not be in the library.",
        ),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            "--by",
            metavar="|".join(_BY),
            parser=one_of(_BY),
            help="Search by what is heard in FILE, or by what it shows, as of pictures is done without "
            "saying. Needs the encoder pe-av (echoic models).",
        ),
    ] = None,
    texts: Annotated[
        list[str] | None,
        typer.Option(
            "--text",
            metavar="WORDS",
            help="What to find, in English, as in 'dog barking, rain'; may be repeated. May go with FILE.",
        ),
    ] = None,
    phrases: Annotated[
        list[str] | None,
        typer.Option(
            "--phrase",
            metavar="WORDS|FILE",
            help="Find where WORDS are said, or what is said in FILE, or in FILE@START-END, by whomever. "
            "Needs transcripts (index --transcripts) or, for English, the encoder phonemes; for a FILE, "
            "speech (echoic models).",
        ),
    ] = None,
    voice: Annotated[
        str | None,
        typer.Option(
            "--voice",
            metavar="FILE",
            help="Find where the person speaks who speaks in FILE, or in FILE@START-END, whatever is said. "
            "Needs the encoder voice (index --encoder voice).",
        ),
    ] = None,
    concept: Annotated[
        str | None,
        typer.Option(
            "--concept", metavar="NAME", help="Find where a concept is heard that was taught (echoic teach)."
        ),
    ] = None,
    every: Annotated[
        bool,
        typer.Option(
            "--every",
            help="Find every place where it is heard, not only the best of a file, with its begin and end. "
            "Other than for --phrase, --voice and --concept, needs the encoder events "
            "(echoic index FOLDER --encoder events).",
        ),
    ] = False,
    min_score: Annotated[
        float | None,
        typer.Option(
            "--min-score",
            metavar="P",
            parser=number(0, 1),
            help="With --phrase, --voice, --concept or --every: tell what is this likely or more; .5 if not "
            "said.",
        ),
    ] = None,
    k: Annotated[
        int | None,
        typer.Option(
            "-k",
            metavar="N",
            parser=whole_number(),
            help="How many files to find [default: 10]; with --every, how many hits [default: all].",
        ),
    ] = None,
    encoder: EncoderName = None,
    start: Annotated[
        float | None,
        time_option("Use FILE from here, … A time is seconds, or as in 1:15:29, 90m, 1.5h or 1h15m."),
    ] = None,
    end: Annotated[float | None, time_option("… to here.")] = None,
    like: Annotated[
        list[str] | None,
        typer.Option(
            metavar="F",
            parser=expand_example,
            help="A further example, or words as in 'text:rain on tin'; may be repeated.",
        ),
    ] = None,
    unlike: Annotated[
        list[str] | None,
        typer.Option(
            metavar="F",
            parser=expand_example,
            help="An example of what is not wanted, or words; may be repeated.",
        ),
    ] = None,
    path: PathGlobs = None,
    min_duration: Annotated[float | None, time_option("Only files this long or longer.")] = None,
    max_duration: Annotated[float | None, time_option("Only files this long or shorter.")] = None,
    tag: Tags = None,
    versions: Annotated[
        bool,
        typer.Option(
            "--versions", help="Find other versions of a piece of music, in any key, tempo and instruments."
        ),
    ] = False,
    include_query: Annotated[
        bool, typer.Option("--include-query", help="Let the examples themselves be found.")
    ] = False,
    json: Json = False,
    as_csv: Csv = False,
    m3u: Annotated[bool, typer.Option("--m3u", help="Print an M3U playlist.")] = False,
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels",
            metavar="DIR",
            parser=expand_path,
            help="Write labels for Audacity into this folder, FILE.txt of each file with hits.",
        ),
    ] = None,
    raven: Annotated[
        Path | None,
        typer.Option(
            "--raven", metavar="FILE", parser=expand_path, help="Write a selection table for Raven."
        ),
    ] = None,
    reaper: Annotated[
        Path | None,
        typer.Option("--reaper", metavar="FILE", parser=expand_path, help="Write regions for Reaper (CSV)."),
    ] = None,
    library: LibraryFolder = None,
) -> None:
    """Find files that sound like FILE or fit words, and where.

    Each hit names the span that matched best. Scores are cosines: 1 is the same, 0 unrelated. With
    --versions they say how much of the shorter piece is in the other: from about .6 on, likely the same.
    With --phrase, --voice, --concept and --every they are probabilities; without -k, --every tells hits file
    by file.
    """
    from echoic.library import Library

    if json + as_csv + m3u > 1:
        raise UsageError("choose one of --json, --csv and --m3u")
    if phrases is not None and len(phrases) > 1:
        raise UsageError("--phrase is given more than once; look for one phrase at a time")
    phrase = phrases[0] if phrases else None
    if sum(given is not None for given in (phrase, voice, concept)) > 1:
        raise UsageError("choose one of --phrase, --voice and --concept")
    for option, given in (("--phrase", phrase), ("--voice", voice), ("--concept", concept)):
        if given is not None and (file is not None or texts or like or unlike or versions):
            raise UsageError(
                f"{option} goes with neither FILE before it, --text, --like, --unlike nor --versions"
            )
        if given is not None and given is concept and (encoder is not None or include_query):
            raise UsageError("--concept goes with neither --encoder nor --include-query")
        if given is not None and (start, end) != (None, None):
            raise UsageError(
                f"--start and --end choose a part of FILE; with {option} say it so: {option} FILE@START-END"
            )
    asked = None if phrase is None else _read_phrase(phrase)
    if asked is not None and isinstance(asked[0], str) and include_query:
        raise UsageError("--include-query goes with --phrase FILE, not with words")
    if phrase is None and voice is None and concept is None and not every and min_score is not None:
        raise UsageError("--min-score goes with --phrase, --voice, --concept or --every")
    speaking = None if voice is None else read_part(voice, "--voice")
    if versions and (file is None or texts or encoder is not None or like or unlike or every):
        raise UsageError(
            "--versions takes one FILE, and neither --text, --encoder, --like, --unlike nor --every"
        )
    looks = by == "picture" or (by is None and file is not None and suffix_of(str(file)) in PICTURES)
    if looks and (file is None or texts or like or unlike or versions or every or phrases or voice):
        raise UsageError(
            "a search by a picture takes one FILE, and neither --text, --like, --unlike, --every, "
            "--versions, --phrase nor --voice"
        )
    if looks and file is not None and not _may_be_there(file):
        raise UnreadableError(f"{quoted(file)} does not exist; check the path")
    n_hits = 10 if k is None else k
    if file is not None and not file.suffix and not _may_be_there(file):
        words = shlex.quote(str(file).removeprefix(WORDS))
        raise UnreadableError(f"{quoted(file)} does not exist; check the path, or for words: --text {words}")
    filters: dict[str, Any] = {
        "path": path or None,
        "min_duration": min_duration,
        "max_duration": max_duration,
        "tags": tag or (),
    }
    is_filtered = bool(tag or path) or (min_duration, max_duration) != (None, None)
    common: dict[str, Any] = {"start": start, "end": end, "include_query": include_query} | filters
    hits: Iterable[Hit]
    with Library(library, noted=note_teller()) as lib, _written(labels, raven, reaper) as written:
        if asked is not None:
            what_is_said, part = asked
            chosen: dict[str, Any] = {"every": every, "min_score": min_score, "encoder": encoder}
            if isinstance(what_is_said, Path):
                chosen |= {"include_query": include_query} | dict(zip(("start", "end"), part, strict=True))
            hits = lib.phrases(what_is_said, k, **chosen, **filters)
        elif speaking is not None:
            who, part = speaking
            chosen = {"every": every, "min_score": min_score, "encoder": encoder}
            hits = lib.voices(
                who, k, start=part[0], end=part[1], include_query=include_query, **chosen, **filters
            )
        elif concept is not None:
            hits = lib.instances(concept, k, every=every, min_score=min_score, **filters)
        elif looks and file is not None:
            hits = lib.pictured(file, n_hits, encoder=encoder, **common)
        elif versions and file is not None:
            with progress_bar("comparing") as progress:
                hits = lib.versions(file, n_hits, progress=progress, **common)
        else:
            text = None if texts is None else ", ".join(texts)
            more: dict[str, Any] = {"like": like or (), "unlike": unlike or ()}
            more |= {"text": text, "encoder": encoder} | common
            if every:
                hits = lib.occurrences(file, k, min_score=min_score, **more)
            else:
                hits = lib.search(file, n_hits, **more)
        kind = Hit if phrase is None else PhraseHit
        n = _tell(hits, written, kind, json=json, as_csv=as_csv, m3u=m3u)
    if n or json or as_csv or m3u:
        return
    where = " in the files that fit the filters" if is_filtered else ""
    if phrase is not None:
        what = "" if asked is None or isinstance(asked[0], str) else "what is said in "
        complain(f"nothing found: {what}{quoted(phrase)} is not said{where}, or not clearly enough")
    elif voice is not None:
        complain(f"nothing found: who speaks in {quoted(voice)} is not heard{where}, or not clearly enough")
    elif concept is not None or every:
        complain(f"nothing found: it is not heard{where}, or not clearly enough; --min-score tells more")
    elif is_filtered:
        complain("nothing found: no other file of the library fits the filters")
    else:
        complain("nothing found")


def _read_phrase(phrase: str) -> tuple[str | Path, tuple[float | None, float | None]]:
    """Tell words from ``FILE`` or ``FILE@START-END``; ``text:`` stands before words that are a file, too.

    Returns
    -------
    str or Path
        Words, or a file.
    tuple of (float or None, float or None)
        Begin and end of the part of the file that is meant.

    Raises
    ------
    UsageError, UnreadableError
        If it may be either, or is a file that is not there.
    """
    refuse_address(phrase)
    if phrase.startswith(WORDS):
        return phrase.removeprefix(WORDS), (None, None)
    name, (start, end) = parted(phrase, "--phrase")
    is_named_as_sound = suffix_of(name) in SUFFIXES
    if not os.path.lexists(expand(name)):
        if is_named_as_sound:
            raise UnreadableError(
                f"{quoted(name)} does not exist; check the path, or for words: --phrase {WORDS}…"
            )
        return phrase, (None, None)
    if not is_named_as_sound and os.sep not in name:
        raise UsageError(
            f"{shown(name)} may be words, and is a file here; write --phrase {shlex.quote(WORDS + name)} "
            f"for the words, or --phrase {shlex.quote('./' + name)} for what is said in the file"
        )
    return expand_path(name), (start, end)


def _may_be_there(file: Path) -> bool:
    """Tell whether to go on with a file; one in a bucket is looked at when it is opened."""
    return in_bucket(str(file)) or os.path.lexists(file)


def _tell(
    hits: Iterable[Hit],
    written: Iterable[Writer],
    kind: type[Hit],
    *,
    json: bool,
    as_csv: bool,
    m3u: bool,
) -> int:
    """Print hits as they come, and write them where they are wanted; return how many there were."""
    n = 0
    printed = csv_printer(kind) if as_csv else None
    if m3u:
        from echoic.interchange.playlist import M3U_HEAD

        print_names_as_bytes()
        say(M3U_HEAD)
    for n, hit in enumerate(hits, start=1):  # noqa: B007 - counts them
        if printed is not None:
            printed([hit])
        elif json:
            print_json(asdict(hit))
        elif m3u:
            _print_entry(hit)
        else:
            say(hit_line(hit))
            if isinstance(hit, PhraseHit) and hit.words:
                say(f"{_INDENT}{hit.words}  [{hit.encoder}]")
        for write in written:
            write(hit)
    return n


def _print_entry(hit: Hit) -> None:
    from echoic.interchange.playlist import m3u_entry

    entry = m3u_entry(hit)
    if entry is None:
        complain(
            f"warning: {shorten(hit.path)} has a line break in its name, which M3U cannot hold; left out"
        )
    else:
        say(entry)


@contextmanager
def _written(labels: Path | None, raven: Path | None, reaper: Path | None) -> Iterator[list[Writer]]:
    """Open what hits are written to, beside being printed."""
    with ExitStack() as stack:
        writers: list[Writer] = []
        if raven is not None:
            from echoic.interchange.raven import raven_table

            writers.append(stack.enter_context(raven_table(raven)).add)
        if reaper is not None:
            from echoic.interchange.reaper import regions

            writers.append(stack.enter_context(regions(reaper)).add)
        if labels is not None:
            from echoic.interchange.labels import Label, LabelFolder

            folder = LabelFolder(labels)
            folder.check_none_yet()
            found: dict[str, list[Hit]] = {}
            writers.append(lambda hit: found.setdefault(hit.path, []).append(hit))
            yield writers
            chosen = {path: folder.choose(Path(path)) for path in found}
            for path, hits in found.items():
                hits.sort(key=lambda hit: (hit.start, hit.end))
                folder.write(chosen[path], (Label(hit.start, hit.end, f"{hit.score:.2f}") for hit in hits))
        else:
            yield writers
