"""Encoding sound as it comes, without a library."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from echoic.addresses import is_url
from echoic.arguments import checked
from echoic.encoders.base import Encoder
from echoic.encoders.registry import DEFAULT_ENCODERS, load_encoder, spell_out
from echoic.errors import UsageError
from echoic.types import LiveSound, Note, Segments, StrPath
from echoic.untrusted import shown

__all__ = ["embed_stream"]


@checked
def embed_stream(
    source: StrPath | LiveSound,
    *,
    encoder: str = DEFAULT_ENCODERS[0],
    noted: Callable[[Note], None] = lambda _: None,
) -> Iterator[Segments]:
    """Encode a stream, or a long file, each window as soon as its sound has come.

    Memory does not grow. Windows are cut as they are from files; the last one, which is aligned to the end or
    padded, comes when a connection ends.

    Parameters
    ----------
    source : path, str or LiveSound
        As of :meth:`echoic.library.Library.monitor`. A stream that breaks off is connected to again.
    encoder : str
        A name, or the path of an ``.onnx`` model, of an encoder that gives a vector for each window.
    noted : callable, optional
        Called with what a person should know of what was heard, whenever a connection ends.

    Returns
    -------
    iterator of Segments
        One window or more at a time, with unit vectors of float32, shape (n, dim); times are seconds since
        listening began. Windows without sound are left out.

    Raises
    ------
    UnknownEncoderError, EncoderError
        If the encoder is not there or cannot be loaded.
    UsageError
        If it gives no vector for each window, or an argument makes no sense.
    AudioError
        While it is iterated over: if the source cannot be read, or a stream does not come back.
    """
    from echoic.analysis.excerpts import embed_densely

    loaded = load_encoder(spell_out(encoder))
    if loaded.spec.by != "window":
        raise UsageError(
            f"{shown(encoder)} gives a vector for each {loaded.spec.by}, which needs more than has come; "
            "choose an encoder of windows, such as sound"
        )
    if isinstance(source, LiveSound):
        found = _connected([source], loaded, noted)
    elif is_url(os.fspath(source)):
        from echoic.audio.live import connections

        found = _connected(connections(os.fspath(source)), loaded, noted)
    else:
        found = embed_densely(Path(source), loaded, lambda _: loaded.spec.hop, noted=noted)
    return (segments for segments in found if len(segments))


def _connected(
    connections: Iterable[LiveSound], encoder: Encoder, noted: Callable[[Note], None]
) -> Iterator[Segments]:
    from echoic.analysis.excerpts import embed_blocks

    for connection in connections:
        begun = connection.begun
        for found in embed_blocks(connection.blocks, connection.sample_rate, encoder, encoder.spec.hop):
            yield Segments(found.starts + begun, found.ends + begun, found.vectors)
        for note in connection.notes():
            noted(note)
