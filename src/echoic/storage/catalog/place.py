"""Where a library's catalog lies, where that is not its own folder.

The folder then holds an address, and no more. As a library may have come from somebody else, nothing is
connected to that a person has not chosen for it (:mod:`echoic.storage.vectors.trusted`).
"""

from __future__ import annotations

import json
import shlex
import uuid
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from echoic.errors import LibraryError, UsageError, quoted, shell_word
from echoic.files import written_whole
from echoic.storage.catalog.schema import unusable
from echoic.storage.catalog.sqlite import FILE
from echoic.storage.vectors.trusted import is_trusted, trust

__all__ = ["PASSWORD_VARIABLE", "POINTER", "Place", "checked", "choose", "exists", "place_of"]

#: What the address is kept in, in the library's folder.
POINTER = "catalog.json"
#: The environment variable of the password, which is kept nowhere.
PASSWORD_VARIABLE = "ECHOIC_CATALOG_PASSWORD"

_SCHEME = "postgresql+psycopg://"


class Place(NamedTuple):
    """The address of a database, and which library's folder names it."""

    address: str
    identity: str

    @property
    def uri(self) -> str:
        """The address as PostgreSQL's own library takes it."""
        return f"postgresql://{self.address.removeprefix(_SCHEME)}"

    def settle(self, folder: Path) -> None:
        """Keep it in a library's folder, and note that a person chose it.

        Raises
        ------
        LibraryError
            If that cannot be noted.
        OSError
            If the folder cannot be written.
        """
        if place_of(folder) != self:
            folder.mkdir(parents=True, exist_ok=True)
            with written_whole(folder / POINTER) as partial:
                partial.write_text(json.dumps({"catalog": self.address, "identity": self.identity}))
        try:
            if not is_trusted(self.identity, self.address):
                trust(self.identity, self.address)
        except OSError as error:
            raise LibraryError(
                f"that {self.address} was chosen cannot be noted ({error}); make your folder for settings "
                "writable"
            ) from error


def exists(folder: Path) -> bool:
    """Tell whether a folder holds a library, wherever its catalog lies."""
    try:
        return (folder / FILE).is_file() or (folder / POINTER).is_file()
    except OSError as error:
        raise unusable(folder, error) from error


def place_of(folder: Path) -> Place | None:
    """Return where the catalog of a library lies; None if in its folder.

    Raises
    ------
    LibraryError
        If what is noted of it is damaged.
    """
    try:
        fields = json.loads((folder / POINTER).read_bytes())
        place = Place(fields["catalog"], fields["identity"])
        if not (isinstance(place.identity, str) and place.address.startswith(_SCHEME)):
            raise ValueError("no address")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise unusable(folder, error) from error
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise LibraryError(
            f"{quoted(folder / POINTER)} does not say where the library's catalog lies ({error}); put back "
            "what was there, or remove the folder and choose the catalog anew with: "
            "echoic index FOLDER --catalog ADDRESS"
        ) from error
    return place


def choose(folder: Path, address: str) -> Place:
    """Make sure that a library's catalog is, or may be, at an address that a person named.

    Raises
    ------
    UsageError
        If the address is none, holds a password, or the library keeps its catalog elsewhere.
    """
    _check(address)
    known = place_of(folder)
    if known is None and not exists(folder):
        return Place(address, uuid.uuid4().hex)
    if known is None or known.address != address:
        where = "its folder" if known is None else quoted(known.address)
        raise UsageError(
            f"the library {quoted(folder)} keeps its catalog in {where}; leave --catalog out, or start "
            "another library with --library"
        )
    return known


def checked(folder: Path, place: Place) -> Place:
    """Return a place that a library names, if a person chose it.

    Raises
    ------
    LibraryError
        If nobody did.
    """
    if not is_trusted(place.identity, place.address):
        # Quoted for a shell: the address may have been made up to be copied there.
        raise LibraryError(
            f"the library {quoted(folder)} keeps its catalog at {quoted(place.address)}, which was not "
            "chosen here and is not connected to; if you trust that server, choose it once: "
            f"echoic index PATH --library {shell_word(folder)} --catalog {quoted(shlex.quote(place.address))}"
        )
    return place


def _check(address: str) -> None:
    rest = address.removeprefix(_SCHEME)
    if rest == address or not rest or not address.isprintable():
        raise UsageError(
            f"{quoted(address)} is no address of a catalog; give one as in {_SCHEME}USER@HOST/DATABASE"
        )
    login, at, _ = rest.partition("/")[0].rpartition("@")
    if (at and ":" in unquote(login)) or "password" in unquote(rest).lower():
        raise UsageError(
            "leave the password out of the catalog's address, where it would be kept and shown; put it into "
            f"${PASSWORD_VARIABLE}"
        )
