"""``echoic embed``: write the vectors of files to a NumPy archive, or of a stream as they come."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from echoic.cli.options import (
    Jobs,
    Microphone,
    MicrophoneDevice,
    TrackOption,
    expand,
    expand_path,
    need_source,
    opened_source,
)
from echoic.cli.output import complain, counted, note_teller, print_json, progress_bar, say
from echoic.errors import EchoicError, UnreadableError, UsageError, quoted
from echoic.interchange.places import check_free, new_file
from echoic.types import Note

if TYPE_CHECKING:
    from echoic.types import TrackChoice


def run(
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE", parser=expand, help="Files and folders; with --stream an address, - or a file."
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="OUT.npz", parser=expand_path, help="Where to write."),
    ] = None,
    encoder: Annotated[
        str, typer.Option(metavar="NAME", parser=expand, help="A name, or the path of an .onnx model.")
    ] = "sound",
    segments: Annotated[
        bool, typer.Option("--segments", help="Every segment, with its start, instead of one mean a file.")
    ] = False,
    stream: Annotated[
        bool, typer.Option("--stream", help="Print each window's vector as it comes, a line of JSON each.")
    ] = False,
    mic: Microphone = False,
    device: MicrophoneDevice = None,
    track: TrackOption = None,
    jobs: Jobs = None,
) -> None:
    """Write vectors of files to an archive, or print a stream's.

    No library is needed. The archive holds the arrays 'paths' and 'vectors', and with --segments also
    'starts' and 'ends', in seconds; 'encoder' says whose vectors they are, as NAME@REVISION. With --stream,
    which goes on until Ctrl-C or the end of a file, each line has 'start', 'end', 'encoder' and 'vector'.
    """
    if stream or mic or device is not None:
        if output is not None or segments or track is not None or jobs is not None:
            raise UsageError(
                "--stream prints its vectors; leave out --output, --segments, --track and --jobs"
            )
        if len(files or ()) > 1:
            raise UsageError(f"--stream takes one source, not {len(files or ())}; name one")
        need_source(files, mic, device, "an address, a file")
        _print_stream(files[0] if files else None, device, encoder)
        return
    if not files:
        raise UsageError("give files or folders to encode, or --stream and what is to be listened to")
    if output is None:
        raise UsageError("say where the vectors are to be written: --output OUT.npz")
    _write([expand_path(name) for name in files], output, encoder, segments, track, jobs)


def _print_stream(source: str | None, device: str | None, encoder: str) -> None:
    from echoic.analysis.streams import embed_stream
    from echoic.encoders.registry import load_encoder

    key, is_heard = load_encoder(encoder).spec.key, False
    with opened_source(source, device) as sound:
        name = sound if isinstance(sound, str) else sound.name
        tell = note_teller()
        for found in embed_stream(sound, encoder=encoder, noted=lambda note: tell(name, note)):
            is_heard = True
            for start, end, vector in zip(found.starts, found.ends, found.vectors, strict=True):
                print_json(
                    {"start": float(start), "end": float(end), "encoder": key, "vector": vector.tolist()}
                )
            sys.stdout.flush()  # whoever reads a stream wants it now
    if not is_heard:
        complain("note: there was no sound in it, and so no vector")


def _write(
    files: list[Path],
    output: Path,
    encoder: str,
    segments: bool,
    track: TrackChoice | None,
    jobs: int | None,
) -> None:
    import numpy as np

    from echoic.analysis.files import embed
    from echoic.encoders.base import mean_vector
    from echoic.encoders.registry import load_encoder

    check_free(output)
    if output.suffix.lower() != ".npz":
        raise UsageError(f"the vectors are written to a file that ends in .npz, not to {quoted(output)}")
    notes: list[tuple[str, Note]] = []
    with progress_bar("encoding") as progress:
        found, failed = embed(
            files,
            encoder=encoder,
            jobs=jobs,
            track=track,
            noted=lambda *note: notes.append(note),
            progress=progress,
        )
    tell = note_teller()
    for path, note in notes:
        tell(path, note)
    for message in failed.values():
        complain(f"warning: {message}")
    if found:
        if segments:
            arrays = {
                "paths": np.repeat(np.array(list(found)), [len(s) for s in found.values()]),
                "vectors": np.concatenate([s.vectors for s in found.values()]),
                "starts": np.concatenate([s.starts for s in found.values()]),
                "ends": np.concatenate([s.ends for s in found.values()]),
            }
        else:
            arrays = {
                "paths": np.array(list(found)),
                "vectors": np.stack([mean_vector(s.vectors) for s in found.values()]),
            }
        key = np.array(load_encoder(encoder).spec.key)
        try:
            # Given a name instead of a file, NumPy would add a suffix to it.
            with new_file(output) as partial, partial.open("wb") as file:
                np.savez(file, allow_pickle=False, encoder=key, **arrays)
        except OSError as error:
            raise EchoicError(
                f"{quoted(output)} cannot be written ({error.strerror or error}); choose another place"
            ) from error
        n, dim = arrays["vectors"].shape
        say(f"{counted(n, 'vector')} of {dim} dimensions from {counted(len(found), 'file')} in {output}")
    if failed or not found:
        if not failed:
            named = quoted(files[0]) if len(files) == 1 else f"none of {len(files)} folders"
            raise UnreadableError(f"{named} holds no audio files; name a folder that does")
        raise typer.Exit(1)
