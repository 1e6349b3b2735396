"""API keys: who may ask the service for what. Only hashes are kept.

A key is 256 random bits, which nobody guesses, so that one round of SHA-256 hides it as well as a slow hash
would hide a password.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from pathlib import Path
from typing import Literal, NamedTuple

from echoic.errors import UsageError, quoted
from echoic.files import written_whole
from echoic.untrusted import read_file

__all__ = ["Keys", "Role", "digest"]

#: May look and search; may index and teach, too.
Role = Literal["read", "admin"]

_LINE = re.compile(r"(read|admin) ([0-9a-f]{64})", re.ASCII)
_LARGEST = 1 << 20  # bytes of a file of keys
_MARK = "echoic_"  # lets tools that look for leaked secrets know a key


class _Key(NamedTuple):
    role: Role
    digest: bytes


class Keys:
    """The keys of a service, as a file names them: ``ROLE SHA-256`` in each line; ``#`` begins a remark.

    Parameters
    ----------
    path : Path

    Raises
    ------
    UsageError
        If the file cannot be read, a line is none of a key, or it has no key.
    """

    def __init__(self, path: Path) -> None:
        self._keys = _read(path)
        if not self._keys:
            raise UsageError(f"{quoted(path)} has no key; make one with --new-key")

    def role(self, key: str) -> Role | None:
        """Return what somebody with a key may do; None if it is no key of this service."""
        shown = digest(key)
        # All are compared, and each in the same time, so that none tells anything of another.
        found = [known.role for known in self._keys if hmac.compare_digest(known.digest, shown)]
        return found[0] if found else None

    @staticmethod
    def make(path: Path, role: Role) -> str:
        """Add a new key to a file, which is made if it is not there; return it, as it is kept nowhere.

        Raises
        ------
        UsageError
            If something else is in it.
        OSError
            If the file cannot be written.
        """
        if path.exists():
            _read(path)
        key = _MARK + secrets.token_urlsafe(32)
        before = path.read_bytes() if path.exists() else b""
        if before and not before.endswith(b"\n"):
            before += b"\n"
        with written_whole(path) as partial:
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(before + f"{role} {digest(key).hex()}\n".encode("ascii"))
        return key


def _read(path: Path) -> list[_Key]:
    try:
        text = read_file(path, _LARGEST).decode("ascii")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise UsageError(
            f"the keys in {quoted(path)} cannot be read ({reason}); make some in a new file with --new-key"
        ) from None
    keys: list[_Key] = []
    for number, line in enumerate(text.splitlines(), start=1):
        content = line.partition("#")[0].strip()
        if not content:
            continue
        parts = _LINE.fullmatch(content)
        if parts is None:
            raise UsageError(
                f"line {number} of {quoted(path)} is no key; make some in a new file with --new-key"
            )
        keys.append(_Key("admin" if parts[1] == "admin" else "read", bytes.fromhex(parts[2])))
    return keys


def digest(secret: str) -> bytes:
    """Return what is kept in the place of a secret."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()
