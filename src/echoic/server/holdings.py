"""The files of the library that is served: found by id or URI, and page by page.

Nothing that is not in the library is ever opened, whatever a request names.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from pathlib import Path

from echoic.addresses import held, is_url, path_of, place
from echoic.errors import UsageError
from echoic.heard.library import check_kinds
from echoic.opening import Opening
from echoic.server.asked import Listed
from echoic.server.problems import refuse
from echoic.server.shapes import FilePage, FileShape
from echoic.storage.catalog import Catalog
from echoic.types import FileRecord

__all__ = ["Holdings"]

_LONGEST_ID = 18  # digits
_SPAN = re.compile(r"(.+)@(\d{1,9}(?:\.\d{0,9})?)?-(\d{1,9}(?:\.\d{0,9})?)?", re.ASCII)


class Holdings:
    """Looks up the files of a library, from any thread.

    Parameters
    ----------
    folder : Path
        The library's.

    Attributes
    ----------
    opening : Opening
        What of it is open.
    """

    def __init__(self, folder: Path) -> None:
        self.opening = Opening(folder)

    def close(self) -> None:
        """Close the catalog."""
        self.opening.close()

    def named(self, reference: str) -> FileRecord:
        """Return the file of an id or a URI.

        Raises
        ------
        UsageError
            If it is neither.
        HTTPException
            404, if the library has no such file.
        """
        if reference.isascii() and reference.isdecimal() and len(reference) <= _LONGEST_ID:
            return self.of_id(int(reference))
        known = self._catalog.known_at(_as_path(reference))
        if known is None:
            refuse(404, "the library has no file of this URI; see which it has at /v1/files")
        return self.of_id(known.id)

    def spanned(self, reference: str) -> tuple[FileRecord, float | None, float | None]:
        """Return the file of an id or a URI, and the begin and end of a part of it, where one is meant.

        A part is ``@START-END`` behind the name of the file, in which an ``@`` is spelt ``%40``.

        Raises
        ------
        UsageError, HTTPException
            As :meth:`named`.
        """
        span = _SPAN.fullmatch(reference)
        if span is None:
            return self.named(reference), None, None
        start, end = (None if one is None else float(one) for one in span.group(2, 3))
        return self.named(span[1]), start, end

    def of_id(self, file_id: int) -> FileRecord:
        """Return the file of an id; 404 if the library has none."""
        found = self._catalog.files(file_ids=[file_id])
        if not found:
            refuse(404, f"the library has no file {file_id}; see which it has at /v1/files")
        return found[0]

    def ids(self, paths: Iterable[str]) -> dict[str, int]:
        """Return the ids of paths; one that has left the library meanwhile is left out."""
        known = {path: self._catalog.known_at(place(path)) for path in set(paths)}
        return {path: one.id for path, one in known.items() if one is not None}

    def page(self, asked: Listed) -> FilePage:
        """Return the files that fit, in order of id, from one on."""
        catalog = self._catalog
        if asked.uri is not None:
            known = catalog.known_at(_as_path(asked.uri))
            files = [] if known is None else list(map(FileShape.of, catalog.files(file_ids=[known.id])))
            return FilePage(total=len(files), files=files, next=None)
        check_kinds(catalog, asked.tag)
        fitting = catalog.matching(
            path=[held(glob) for glob in asked.path] or None,
            min_duration=asked.min_duration,
            max_duration=asked.max_duration,
            tags=asked.tag,
        )
        if asked.under is not None:
            fitting.intersection_update(catalog.ids_named(_as_path(asked.under)))
        ids = sorted(fitting)
        first = bisect_right(ids, asked.after)
        chosen = ids[first : first + asked.limit]
        records = sorted(catalog.files(file_ids=chosen), key=lambda record: record.id)
        is_last = first + asked.limit >= len(ids)
        return FilePage(
            total=len(ids),
            files=[FileShape.of(record) for record in records],
            next=None if is_last else chosen[-1],
        )

    @property
    def _catalog(self) -> Catalog:
        return self.opening.get()[0]


def _as_path(uri: str) -> Path:
    if is_url(uri):
        raise UsageError("addresses are not fetched by this service; send the sound itself")
    try:
        return Path(path_of(uri))
    except ValueError:
        raise UsageError("a file is named by its id, or by its URI as in file:///sounds/door.wav") from None
