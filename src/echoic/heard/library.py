"""What is heard in the files of a library, told by the vectors that it has of them.

An encoder's head judges whole windows, so that nothing is decoded or encoded for it; when in a window
something is heard, :func:`echoic.heard.files.describe` tells more closely.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from echoic.audio.tags import folded
from echoic.encoders.onnx import OnnxEncoder
from echoic.encoders.registry import load_encoder
from echoic.errors import UsageError
from echoic.heard.files import LIKELY
from echoic.heard.spans import find_spans, most_specific, with_silence
from echoic.spec import EncoderSpec
from echoic.storage.catalog import Catalog, HeardSpans
from echoic.storage.catalog.conditions import HEARD, readings
from echoic.storage.vectors.base import VectorStore
from echoic.types import Segments
from echoic.untrusted import shown

if TYPE_CHECKING:
    from echoic.encoders.head import Head

__all__ = ["Listener", "check_kinds", "listen_again", "listener_of"]

_AT_ONCE = 256  # files
_NEAR = 3  # kinds that are named where one is not known


@dataclass(frozen=True, slots=True, eq=False)
class Listener:
    """A collection of a library, and the head that judges its vectors.

    Parameters
    ----------
    spec : EncoderSpec
        Of the collection.
    head : Head
    """

    spec: EncoderSpec
    head: Head

    @property
    def name(self) -> str:
        """What tells it from others, those of earlier heads and vectors too."""
        return f"{self.spec.key} {self.head.digest}"

    def heard_in(self, segments: Segments, least: float = LIKELY) -> dict[str, HeardSpans]:
        """Tell what is heard in a file, as :meth:`~echoic.storage.catalog.Catalog.put_heard` keeps it.

        What is less likely than ``least`` is not told.
        """
        if not len(segments):
            return {}
        order = np.argsort(segments.starts, kind="stable")  # of several tracks there may be any
        starts, ends = segments.starts[order], segments.ends[order]
        reaching, likely = self.head.reaching(segments.vectors[order], least)
        edges = float(starts[0]), float(ends.max())
        times, likely = with_silence(
            (starts + ends) / 2, likely, step=self.spec.hop, reach=self.spec.window / 2, edges=edges
        )
        spans = [
            span._replace(label=int(reaching[span.label])) for span in find_spans(times, edges, likely, least)
        ]
        told = {span.label for span in most_specific(spans, self.head.kinds)}
        heard: dict[str, HeardSpans] = {}
        for span in spans:
            _, kept = heard.setdefault(self.head.labels[span.label], (span.label in told, []))
            kept.append((round(span.start, 2), round(span.end, 2), round(span.probability, 3)))
        return heard


def listener_of(catalog: Catalog) -> Listener | None:
    """Find what tells what is heard in a library's files: the first of its encoders that has a head."""
    for source, spec in catalog.encoders().items():
        if "sounds" in spec.purposes:
            encoder = load_encoder(source)
            if isinstance(encoder, OnnxEncoder) and encoder.spec.key == spec.key and encoder.head is not None:
                return Listener(spec, encoder.head)
    return None


def check_kinds(catalog: Catalog, tags: Sequence[str]) -> None:
    """Refuse to look for what no file can have: a kind of sound that nothing tells.

    Parameters
    ----------
    catalog : Catalog
    tags : sequence of str
        As of :meth:`~echoic.storage.catalog.Catalog.matching`; those that are not of what is heard pass.

    Raises
    ------
    UsageError
        If the library has nothing that tells what is heard, or what it has does not know the kind.
    """
    wanted = [kind for tag in tags for name, values in readings(tag) if name == HEARD for kind in values]
    if not wanted:
        return
    listener = listener_of(catalog)
    if listener is None:
        raise UsageError(
            f"nothing tells what is heard in the files of the library {catalog.folder}; have it told with: "
            "echoic index FOLDER --encoder sound"
        )
    known = {folded(label): label for label in listener.head.labels}
    for kind in wanted:
        if kind not in known:
            near = [known[one] for one in difflib.get_close_matches(kind, known, n=_NEAR)]
            named = f" near it: {', '.join(near)};" if near else ""
            raise UsageError(
                f"{shown(kind)} is no kind of sound that is told;{named} all are named by: "
                "echoic describe --kinds"
            )


def listen_again(catalog: Catalog, store: VectorStore, listener: Listener) -> None:
    """Tell what is heard in files that another listener, or none, has listened to.

    Must run inside :meth:`~echoic.storage.catalog.Catalog.writing`. ``store`` is that of the collection.
    """
    due = catalog.unheard(listener.spec.key, listener.name)
    for at in range(0, len(due), _AT_ONCE):
        some = due[at : at + _AT_ONCE]
        vectors = store.fetch(some)
        with catalog.transaction():
            for file_id in some:
                segments = vectors.get(file_id, Segments.none(listener.spec.dim))
                catalog.put_heard(file_id, listener.name, listener.heard_in(segments))
