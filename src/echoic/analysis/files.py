"""Encoding files without a library."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from echoic.arguments import checked
from echoic.encoders.registry import DEFAULT_ENCODERS, checked_encoder, spell_out
from echoic.errors import AudioError, quoted
from echoic.types import Note, Progress, Segments, StrPath, TrackChoice, check_track

__all__ = ["embed"]


@checked
def embed(
    paths: Sequence[StrPath],
    *,
    encoder: str = DEFAULT_ENCODERS[0],
    jobs: int | None = None,
    track: TrackChoice | None = None,
    noted: Callable[[str, Note], None] = lambda *_: None,
    progress: Callable[[Progress], None] | None = None,
) -> tuple[dict[str, Segments], dict[str, str]]:
    """Encode files without indexing them.

    Parameters
    ----------
    paths : sequence of path
        Files and folders.
    encoder : str
        A name, or the path of an ``.onnx`` model.
    jobs, track, progress
        As in :meth:`echoic.library.Library.index`.
    noted : callable, optional
        Called with a file and what a person should know of it: what could not be decoded, say.

    Returns
    -------
    segments : dict of str to Segments
        By path, relative where ``paths`` are, in the order found.
    failed : dict of str to str
        Files that could not be read, with one sentence each.

    Raises
    ------
    UnknownEncoderError, EncoderError
        If the encoder is not there or cannot be loaded.
    UsageError
        If an argument makes no sense.
    """
    from echoic.analysis.workers import Task, WorkerPool, n_workers
    from echoic.audio.notes import of_query, why_nothing
    from echoic.scanning import Problem, scan

    begun = time.perf_counter()
    check_track(track)
    encoder = spell_out(encoder)
    key = checked_encoder(encoder).spec.key
    spelt: dict[Path, str] = {}  # as the paths were given: what is computed here may be read elsewhere
    sizes: dict[Path, int] = {}
    failed: dict[str, str] = {}
    for path in map(Path, paths):
        root = Path(os.path.abspath(path))
        for item in scan([path]):
            at = Path(item.path)
            name = str(path / at.relative_to(root))
            if isinstance(item, Problem):
                failed[name] = item.message
            else:
                spelt.setdefault(at, name)
                sizes[at] = item.size
    results: dict[Path, Segments] = {}
    audio = 0.0
    done_bytes = 0
    tasks = (Task(path, ((encoder, key),), track) for path in spelt)
    with WorkerPool(n_workers(jobs)) as pool:
        for done, (task, result) in enumerate(pool.run(tasks), start=1):
            done_bytes += sizes[task.path]
            if isinstance(result, AudioError):
                failed[spelt[task.path]] = str(result)
            elif not len(result.segments[key]):
                failed[spelt[task.path]] = f"{quoted(task.path)} has no vector: {why_nothing(result.info)}"
            else:
                results[task.path] = result.segments[key]
                audio += result.info.duration
                for note in of_query(result.info):
                    noted(spelt[task.path], note)
            if progress is not None:
                elapsed = time.perf_counter() - begun
                total = sum(sizes.values())
                progress(Progress(spelt[task.path], done, len(spelt), done_bytes, total, audio, elapsed))
    return {spelt[path]: results[path] for path in spelt if path in results}, failed
