"""Names: those that file systems and databases accept, and addresses that may be shown."""

from __future__ import annotations

import hashlib
import re

__all__ = ["unique_name", "without_password"]


def unique_name(text: str) -> str:
    """Spell ``text`` with ASCII letters, digits and underscores only, different for different texts.

    Examples
    --------
    >>> unique_name("clap@2")
    'clap_2_0532b9a2'
    """
    readable = re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_")[:64]
    return f"{readable or 'x'}_{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def without_password(uri: str) -> str:
    """Leave out of an address who logs in and with what, so that it may be shown; a path stays as it is.

    Examples
    --------
    >>> without_password("https://root:secret@host:19530/db")
    'https://host:19530/db'
    """
    if "://" not in uri and uri.endswith(".db"):
        return uri
    # Up to the last @: a password may hold what an address may not.
    return re.sub(r"^(\w+://)?.*@", r"\1", uri)
