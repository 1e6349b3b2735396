"""Which servers a person has chosen, library by library; the token goes to no other.

A library names its server itself, and may have come from somebody else. That a person chose the server is
therefore noted outside of every library, in the platform's folder for a user's settings: an empty file for
each library and address, so that processes need not wait for each other and nothing can be read wrongly.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

__all__ = ["TOKEN_VARIABLE", "is_trusted", "trust"]

TOKEN_VARIABLE = "ECHOIC_MILVUS_TOKEN"


def is_trusted(library: str, uri: str) -> bool:
    """Tell whether the address was chosen, letter for letter, for the library of that identity."""
    return _note(library, uri).is_file()


def trust(library: str, uri: str) -> None:
    """Note that a person chose this address for the library of that identity.

    Raises
    ------
    OSError
        If the note cannot be written.
    """
    note = _note(library, uri)
    note.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    note.touch(mode=0o600)


def _note(library: str, uri: str) -> Path:
    import platformdirs

    # Not "echoic": on some platforms that is where a library lies by default.
    folder = platformdirs.user_config_path("echoic-servers", appauthor=False)
    return folder / hashlib.sha256(f"{library}\n{uri}".encode("utf-8", "surrogateescape")).hexdigest()
