"""``echoic embed``: write the vectors of files to a NumPy archive."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from echoic.cli.options import Jobs, TrackOption, expand, expand_path
from echoic.cli.output import complain, counted, progress_bar, say
from echoic.errors import EchoicError, UnreadableError, UsageError, quoted
from echoic.files import written_whole


def run(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE", parser=expand_path, help="Files and folders.")
    ],
    output: Annotated[
        Path,
        typer.Option("-o", "--output", metavar="OUT.npz", parser=expand_path, help="Where to write."),
    ],
    encoder: Annotated[
        str, typer.Option(metavar="NAME", parser=expand, help="A name, or the path of an .onnx model.")
    ] = "sound",
    segments: Annotated[
        bool, typer.Option("--segments", help="Every segment, with its start, instead of one mean a file.")
    ] = False,
    track: TrackOption = None,
    jobs: Jobs = None,
) -> None:
    """Write the vectors of files to a NumPy archive.

    No library is needed. The archive holds the arrays 'paths' and 'vectors', and with --segments also
    'starts' and 'ends', in seconds; 'encoder' says whose vectors they are, as NAME@REVISION.
    """
    import numpy as np

    from echoic.analysis.files import embed
    from echoic.encoders.base import mean_vector
    from echoic.encoders.registry import load_encoder

    if not output.parent.is_dir():
        raise UsageError(f"the folder of {quoted(output)} does not exist; make it first")
    if output.is_dir():
        raise UsageError(f"{quoted(output)} is a folder; name a file that ends in .npz")
    if output.suffix.lower() != ".npz":
        raise UsageError(f"the vectors are written to a file that ends in .npz, not to {quoted(output)}")
    with progress_bar("encoding") as progress:
        found, failed = embed(files, encoder=encoder, jobs=jobs, track=track, progress=progress)
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
            with written_whole(output) as partial, partial.open("wb") as file:
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
