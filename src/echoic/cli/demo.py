"""``echoic demo``: make sounds, index and search them; or do so with a folder of one's own."""

from __future__ import annotations

import shlex
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from echoic.cli.identify import match_line
from echoic.cli.options import Jobs, expand_path
from echoic.cli.output import complain, counted, hit_line, print_report, progress_bar, say, shorten
from echoic.errors import UnreadableError, quoted, unopened

if TYPE_CHECKING:
    from echoic.library import Library

_OWN_EXAMPLES = 4
_PHRASE = "to ma to su pa"
_IN_WORDS = ("church bells", "a bird singing")


def run(
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="FOLDER", parser=expand_path, help="Your own audio, instead of synthesised sounds."
        ),
    ] = None,
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", metavar="DIR", parser=expand_path, help="Where sounds and library are written."
        ),
    ] = Path("echoic-demo"),
    jobs: Jobs = None,
) -> None:
    """Show what Echoic does, on its own sounds or a folder of yours.

    Its own are a hundred, synthesised on the spot.
    """
    from echoic.library import Library

    if folder is not None:
        try:
            is_folder = stat.S_ISDIR(folder.stat().st_mode)
        except OSError as error:
            raise unopened(folder, error) from None
        if not is_folder:
            raise UnreadableError(f"{quoted(folder)} is not a folder; name one that holds audio files")
    sounds = folder or output / "sounds"
    with Library(output / ("library" if folder is None else "own-library")) as lib:
        if folder is None:
            _synthesise(sounds)
        _index(lib, sounds, jobs)
        files = [Path(record.path) for record in lib.files(sounds) if record.state != "failed"]
        if len(files) < 2:
            raise UnreadableError(
                f"{quoted(sounds)} holds {counted(len(files), 'readable audio file')}; "
                "a search needs two or more"
            )
        if folder is None:
            piece = next(file for file in files if file.stem == "night-drive")
            _show_synthesised(lib, files)
            _show_words(lib)
            _show_versions(lib, piece)
            _identify(lib, piece, output / "bar.mp3")
            _show_phrase(lib, output / "talk.mp3", output / "said.wav")
            _score(lib, files)
        else:
            for file in files[:: max(1, len(files) // _OWN_EXAMPLES)][:_OWN_EXAMPLES]:
                _show(lib, file)
        library = shlex.quote(shorten(str(lib.folder)))
    say(f"\nNow try it yourself:\n  export ECHOIC_LIBRARY={library}")
    say("  echoic search FILE\n  echoic index FOLDER")


def _synthesise(folder: Path) -> None:
    from echoic.audio.synthesis import write_demo

    complain(f"synthesising sounds into {shorten(str(folder))} …")
    written = write_demo(folder)
    families = sorted({path.parent.name for path in written})
    say(f"{len(written)} files: {', '.join(families)}")


def _index(lib: Library, sounds: Path, jobs: int | None) -> None:
    say(f"\n$ echoic index {shlex.quote(shorten(str(sounds)))}")
    with progress_bar("indexing") as progress:
        report = lib.index([sounds], jobs=jobs, progress=progress)
    print_report(report)


def _show_synthesised(lib: Library, files: list[Path]) -> None:
    by_folder = {path.parent.name: path for path in reversed(files)}  # the first of each
    piece = by_folder["pieces"]
    for name in sorted(set(by_folder) - {"pieces"})[::3]:
        _show(lib, by_folder[name])
    _show(lib, piece)
    _show(lib, piece, "--start", "8", "--end", "13", "--path", "pieces/*", start=8, end=13, path="pieces/*")


def _show(
    lib: Library,
    file: Path,
    *words: str,
    start: float | None = None,
    end: float | None = None,
    path: str | None = None,
) -> None:
    command = shlex.join(["echoic", "search", shorten(str(file)), *words, "-k", "3"])
    say(f"\n$ {command}")
    for hit in lib.search(file, k=3, start=start, end=end, path=path):
        say(hit_line(hit))


def _show_words(lib: Library) -> None:
    say("\nIn words:")
    for words in _IN_WORDS:
        say(f"\n$ {shlex.join(['echoic', 'search', '--text', words, '-k', '3'])}")
        for hit in lib.search(text=words, k=3):
            say(hit_line(hit))


def _show_versions(lib: Library, file: Path) -> None:
    say(f"\nWhich is another take of {file.stem}? On a stage, slower, by other instruments:")
    say(f"\n$ {shlex.join(['echoic', 'search', shorten(str(file)), '--versions', '-k', '2'])}")
    for hit in lib.versions(file, k=2):
        say(hit_line(hit))


def _identify(lib: Library, piece: Path, heard: Path) -> None:
    """Play a part of a piece where people talk as loud as it, 3 % fast, and ask what it was."""
    import numpy as np

    from echoic.audio.decode import Resampler, read_audio
    from echoic.audio.encode import write_audio
    from echoic.audio.synthesis import talk

    rate = 44_100
    music, _ = read_audio(piece, round(rate / 1.03), start=12, end=22)
    people = sum(talk(len(music) / rate, rate, seed=seed)[: len(music)] for seed in range(4))
    people = np.asarray(people, np.float32)
    mixed = music + people * (np.std(music) / np.std(people))
    telephone = Resampler(rate, 8_000)
    narrow = np.concatenate([telephone.push(0.5 * mixed / np.abs(mixed).max()), telephone.finish()])
    write_audio(heard, narrow, 8_000)
    say(f"\nTen seconds of {piece.stem}, played 3 % fast, people talking as loud as it, recorded at 8 kHz:")
    say(f"\n$ {shlex.join(['echoic', 'identify', shorten(str(heard))])}")
    for match in lib.identify(heard):
        say(match_line(match))


def _show_phrase(lib: Library, talk: Path, said: Path) -> None:
    """Have people talk for a minute, one of whom says a phrase, and ask where, in another voice."""
    import numpy as np

    from echoic.audio import synthesis
    from echoic.audio.encode import write_audio

    rate = 22_050
    people = [synthesis.talk(8, rate, seed=seed) for seed in range(7)]
    write_audio(talk, np.concatenate([*people[:4], synthesis.say(_PHRASE, rate, seed=1), *people[4:]]), rate)
    write_audio(said, synthesis.say(_PHRASE, rate, seed=2), rate)
    lib.index([talk], encoders=["spoken"], jobs=1)
    phrase = _PHRASE.replace(" ", "-")
    say(f"\nSeven people talk for a minute. When does one say {phrase!r}, as another voice says it?")
    say(f"\n$ {shlex.join(['echoic', 'index', shorten(str(talk)), '--encoder', 'spoken'])}")
    say(f"$ {shlex.join(['echoic', 'search', '--phrase', shorten(str(said))])}")
    for hit in lib.phrases(said):
        say(hit_line(hit))


def _score(lib: Library, files: list[Path]) -> None:
    sounds = [file for file in files if file.parent.name != "pieces"]
    say(f"\nIs the nearest of the other files one of the same family? Asked of all {len(sounds)} sounds:")
    for name in (name for name, spec in lib.encoders().items() if "sounds" in spec.purposes):
        right = sum(
            Path(lib.search(file, k=1, encoder=name)[0].path).parent == file.parent for file in sounds
        )
        say(f"  {name:<10} {right / len(sounds):4.0%}")
