"""What is found, as files for other programs: those that the command line writes."""

from __future__ import annotations

import csv
import io
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import astuple, fields
from pathlib import Path
from typing import NamedTuple

from fastapi.responses import Response

from echoic.interchange.labels import Label, spell_labels
from echoic.interchange.playlist import M3U_HEAD, m3u_entry
from echoic.interchange.raven import raven_table
from echoic.server.asked import Format
from echoic.server.shapes import text_of
from echoic.types import Hit

__all__ = ["MEDIA_TYPES", "saved"]

_NO_NAMES = dict.fromkeys((*range(32), 127, *map(ord, '<>:"/\\|?*')), "_")  # what Windows takes in none


class _Kind(NamedTuple):
    media_type: str
    name: str
    write: Callable[[Sequence[Hit]], bytes]


def saved(hits: Sequence[Hit], form: Format) -> Response:
    """Answer with hits as a file that another program reads; names keep their bytes where it can be."""
    kind = _KINDS[form]
    headers = {"Content-Disposition": f'attachment; filename="{kind.name}"'}
    return Response(kind.write(hits), 200, headers, kind.media_type)


def _csv(hits: Sequence[Hit]) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(field.name for field in fields(type(hits[0]) if hits else Hit))
    writer.writerows(astuple(hit) for hit in hits)
    return out.getvalue().encode("utf-8", "surrogateescape")


def _m3u(hits: Sequence[Hit]) -> bytes:
    entries = [m3u_entry(hit) or "# a file with a line break in its name is left out" for hit in hits]
    return "\n".join([M3U_HEAD, *entries, ""]).encode("utf-8", "surrogateescape")


def _raven(hits: Sequence[Hit]) -> bytes:
    with tempfile.TemporaryDirectory(prefix="echoic-table-") as folder:
        path = Path(folder) / "table.txt"
        with raven_table(path) as table:
            for hit in hits:
                table.add(hit)
        return path.read_bytes()


def _audacity(hits: Sequence[Hit]) -> bytes:
    """Write a label track for each file, and all of them into one archive."""
    by_file: dict[str, list[Hit]] = {}
    for hit in hits:
        by_file.setdefault(hit.path, []).append(hit)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, (path, found) in enumerate(by_file.items(), start=1):
            found.sort(key=lambda hit: (hit.start, hit.end))
            name = text_of(Path(path).name).translate(_NO_NAMES)  # numbered, as two may have one name
            labels = spell_labels(Label(hit.start, hit.end, f"{hit.score:.2f}") for hit in found)
            archive.writestr(f"{number:03d} {name}.txt", labels)
    return out.getvalue()


_KINDS: dict[Format, _Kind] = {
    "csv": _Kind("text/csv; charset=utf-8", "echoic.csv", _csv),
    "m3u": _Kind("audio/x-mpegurl", "echoic.m3u", _m3u),
    "raven": _Kind("text/tab-separated-values; charset=utf-8", "echoic-raven.txt", _raven),
    "audacity": _Kind("application/zip", "echoic-audacity.zip", _audacity),
}
MEDIA_TYPES = tuple(kind.media_type for kind in _KINDS.values())
