"""What an assistant may have read: files of the library, and sounds in folders that the operator names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from starlette.exceptions import HTTPException

from echoic.addresses import is_url, path_of, uri_of
from echoic.errors import UsageError, quoted
from echoic.server.holdings import Holdings
from echoic.types import FileRecord

__all__ = ["Examples", "absolute"]

_LONGEST = 500  # characters of a name that are repeated
_URI = "file:///"


class Examples:
    """Finds the file that is meant.

    Parameters
    ----------
    holdings : Holdings
    folders : sequence of Path
        What may be read besides the library's files: what lies in these folders, but not where links in them
        lead to.
    """

    def __init__(self, holdings: Holdings, folders: Sequence[Path]) -> None:
        self._holdings = holdings
        self.folders = [folder.resolve() for folder in folders]

    def find(self, reference: str) -> FileRecord | Path:
        """Return the file of the library that an id, a path or a URI names, or else the path of an example.

        Raises
        ------
        UsageError
            If it may not be read, or there is none.
        """
        if reference.isascii() and reference.isdecimal():
            return self._known(reference, f"the library has no file {_shown(reference)}; see the tool files")
        if is_url(reference):
            raise UsageError("addresses are not fetched; name a file of the library, or one that may be read")
        path = Path(absolute(reference))
        refusal = f"{_shown(path)} is not in the library, nor in a folder that examples may come from"
        try:
            return self._known(uri_of(str(path)), "")
        except UsageError:
            pass
        try:
            real = path.resolve()
        except (OSError, RuntimeError, ValueError):  # a loop of links; a NUL
            raise UsageError(refusal) from None
        # Of what lies elsewhere it is not even told whether it is there.
        if not any(real.is_relative_to(folder) for folder in self.folders):
            which = ", ".join(map(quoted, self.folders)) or "none is: start it with --allow FOLDER"
            raise UsageError(f"{refusal} ({which})")
        if not real.is_file():
            raise UsageError(f"{_shown(path)} is no file; check the path")
        return real

    def of_library(self, reference: str) -> FileRecord:
        """Return the file of the library that is named.

        Raises
        ------
        UsageError
            If there is none.
        """
        found = self.find(reference)
        if isinstance(found, Path):
            raise UsageError(f"{_shown(found)} is not in the library; the tool files lists what is")
        return found

    def _known(self, reference: str, refusal: str) -> FileRecord:
        try:
            return self._holdings.named(reference)
        except (HTTPException, UsageError):
            raise UsageError(refusal) from None


def absolute(reference: str) -> str:
    """Return the path that a path or a URI of a file spells.

    Raises
    ------
    UsageError
        If it is not absolute.
    """
    path = path_of(reference) if reference.startswith(_URI) else reference
    if not Path(path).is_absolute():
        raise UsageError(f"{_shown(path)} is no absolute path; name files by their ids or whole paths")
    return path


def _shown(path: str | Path) -> str:
    name = quoted(path)
    return name if len(name) <= _LONGEST else f"…{name[-_LONGEST:]}"
