"""What lies in the buckets of a cloud: listed, looked at, and read in part, by fsspec.

Who one is there, and where that is, fsspec finds as everywhere: in the environment and the profiles of the
cloud's own tools, never in a library. A library names its buckets itself, though, and may have come from
somebody else. So a bucket is opened only once this person has named it: on the command line, for as long as
that runs; to be indexed, for good, which is noted in the platform's folder for a user's settings.

What is read comes in blocks, of which a process keeps the last: a file is looked at twice, for its digest and
for its sound, and what is small is then fetched once.
"""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from collections import OrderedDict
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from echoic.addresses import bucket_of, held, in_bucket
from echoic.errors import MissingDependencyError, UnreadableError, quoted, shell_word

__all__ = ["BucketFile", "Entry", "check_chosen", "choose", "entries", "entry_at", "stamp_of"]

_BLOCK = 1 << 20  # bytes that are fetched at once
_KEPT = 64  # blocks
_SECOND = 1_000_000_000  # ns
_PACKAGES = {"gs": "gcsfs", "az": "adlfs"}  # of s3, one that the extra installs

_chosen: set[str] = set()


class Entry(NamedTuple):
    """What lies in a bucket at a path, or why it cannot be used; the time stamp changes with the content."""

    path: str
    is_folder: bool = False
    size: int = 0
    mtime_ns: int = 0
    problem: str = ""


def choose(path: str | os.PathLike[str], *, for_good: bool = False) -> None:
    """Let the bucket that something lies in be opened; call it where a person named it.

    Raises
    ------
    OSError
        If that cannot be noted for good.
    """
    bucket = bucket_of(os.fspath(path))
    _chosen.add(bucket)
    if for_good:
        note = _note(bucket)
        note.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        note.touch(mode=0o600)


def check_chosen(path: str | os.PathLike[str]) -> None:
    """Make sure that a person has named the bucket that something lies in.

    Raises
    ------
    UnreadableError
        If nobody has.
    """
    bucket = bucket_of(os.fspath(path))
    if bucket not in _chosen and _note(bucket).is_file():
        _chosen.add(bucket)
    if bucket not in _chosen:
        raise UnreadableError(
            f"{quoted(path)} lies in a bucket that was not chosen here; choose it once: "
            f"echoic index {shell_word(bucket)}"
        )


def _note(bucket: str) -> Path:
    import platformdirs

    folder = platformdirs.user_config_path("echoic-buckets", appauthor=False)
    return folder / hashlib.sha256(bucket.encode("utf-8", "surrogateescape")).hexdigest()


def stamp_of(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Return the size and time stamp of a file, wherever it lies, as it is known by when it is indexed.

    Raises
    ------
    OSError
        If it is gone or, of a file here, cannot be looked at.
    UnreadableError
        If the bucket cannot be.
    """
    name = os.fspath(path)
    if in_bucket(name):
        try:
            entry = entry_at(name)
        except UnreadableError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                raise error.__cause__ from None
            raise
        return entry.size, entry.mtime_ns
    status = os.stat(name)  # noqa: PTH116 - as it is spelled
    return status.st_size, status.st_mtime_ns


def entry_at(path: str | os.PathLike[str]) -> Entry:
    """Look at what lies at a path in a bucket: a file, or a folder, which is any begin of names.

    Raises
    ------
    UnreadableError
        If there is nothing, the bucket was not chosen, or it cannot be reached.
    MissingDependencyError
        If the package that reads such buckets is not installed.
    """
    name = held(os.fspath(path))
    files = _opened(name)
    try:
        return _entry(name, files.info(_key(name)))
    except Exception as error:
        raise _unread(name, error) from error


def entries(folder: str) -> list[Entry]:
    """List what lies in a folder of a bucket, by name.

    Raises
    ------
    UnreadableError
        If the folder cannot be listed.
    """
    files = _opened(folder)
    key = _key(folder)
    try:
        listed = files.ls(key, detail=True, refresh=True)
    except Exception as error:
        raise _unread(folder, error) from error
    found = []
    for info in sorted(listed, key=lambda info: str(info["name"])):
        name = str(info["name"]).removeprefix(f"{key}/")
        if info["type"] == "file" and (name in ("", key) or name.endswith("/")):
            continue  # an empty object that stands for a folder
        path = f"{folder}/{name}"
        if os.path.normpath(path) != path:
            why = f"{quoted(path)} has a part without a name, or of dots, in its name; give it another"
            found.append(Entry(path, problem=why))
        else:
            found.append(_entry(path, info))
    return found


class BucketFile:
    """A file in a bucket, as an open file is read; what is read comes in blocks.

    Parameters
    ----------
    path : str

    Attributes
    ----------
    stamp : tuple
        Differs from that of any other file, and of this one before it was written anew.

    Raises
    ------
    UnreadableError
        As of :func:`entry_at`.
    """

    def __init__(self, path: str) -> None:
        entry = entry_at(path)
        if entry.is_folder:
            raise UnreadableError(f"{quoted(path)} is a directory; give the files in it")
        self._path, self.size = entry.path, entry.size
        self.stamp = (entry.path, entry.size, entry.mtime_ns)
        self._at = 0

    def read(self, size: int) -> bytes:
        """Read up to ``size`` bytes, fewer only at the end.

        Raises
        ------
        OSError
            If they cannot be had; ``strerror`` says why.
        """
        end = min(self._at + size, self.size)
        parts = []
        while self._at < end:
            number, begin = divmod(self._at, _BLOCK)
            part = self._block(number)[begin : begin + end - self._at]
            self._at += len(part)
            parts.append(part)
        return b"".join(parts)

    def seek(self, place: int) -> int:
        """Go to a place, counted from the begin."""
        self._at = place
        return place

    def tell(self) -> int:
        """Return the place from which is read next."""
        return self._at

    def close(self) -> None:
        """Do nothing: no connection is held."""

    def _block(self, number: int) -> bytes:
        begin = number * _BLOCK
        end = min(begin + _BLOCK, self.size)
        key = (self.stamp, number)
        data = _blocks.get(key)
        if data is None:
            try:
                data = _opened(self._path).cat_file(_key(self._path), start=begin, end=end)
            except Exception as error:
                raise OSError(errno.EIO, _reason(error)) from error
            if len(data) != end - begin:
                raise OSError(errno.ESTALE, "it has changed while it was read")
            _blocks.put(key, data)
        return data


class _Blocks:
    """The blocks that were read last, by any thread."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Any, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Any) -> bytes | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: Any, data: bytes) -> None:
        with self._lock:
            self._kept[key] = data
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)


_blocks = _Blocks()


def _opened(path: str) -> Any:
    """Return what reads a bucket, if a person chose it."""
    check_chosen(path)
    return _filesystem(bucket_of(path).partition(":")[0])


@cache
def _filesystem(scheme: str) -> Any:
    try:
        import fsspec

        # What is listed is asked for anew each time: a library is brought up to date by it.
        return fsspec.filesystem(scheme, use_listings_cache=False)
    except ImportError as error:
        package = _PACKAGES.get(scheme, "")
        system = f"the package {package}: pip install {package}" if package else ""
        raise MissingDependencyError(f"reading from {scheme}://", "cloud", system) from error


def _key(path: str) -> str:
    """Spell a held path as fsspec does: bucket and name."""
    return held(path).split(":/", 1)[1]


def _entry(path: str, info: dict[str, Any]) -> Entry:
    if info["type"] == "directory":
        return Entry(path, True)
    return Entry(path, False, int(info["size"] or 0), _time(info))


def _time(info: dict[str, Any]) -> int:
    """Make a time stamp in ns: clouds tell whole seconds; below them, digits of what tells contents apart."""
    when: Any = next((info[key] for key in ("LastModified", "last_modified", "mtime") if info.get(key)), 0)
    seconds = int(when.timestamp() if hasattr(when, "timestamp") else when)
    mark = str(next((info[key] for key in ("ETag", "etag", "md5Hash") if info.get(key)), ""))
    digits = int.from_bytes(hashlib.sha256(mark.strip('"').encode()).digest()[:8], "big")
    return seconds * _SECOND + digits % _SECOND


def _unread(path: str, error: Exception) -> UnreadableError:
    name = quoted(path)
    if isinstance(error, FileNotFoundError):
        return UnreadableError(f"{name} does not exist; check the address")
    if isinstance(error, PermissionError) or "Credentials" in type(error).__name__:
        return UnreadableError(
            f"{name} may not be read ({_reason(error)}); set credentials that may in the environment or in a "
            "profile, as the cloud's own tools have them"
        )
    return UnreadableError(
        f"{name} cannot be reached, which was tried several times ({_reason(error)}); check the network and "
        "run it again"
    )


def _reason(error: Exception) -> str:
    """Spell why something is not to be had, in a few words."""
    said = " ".join(str(getattr(error, "strerror", None) or error or type(error).__name__).split())
    return said[:200] or type(error).__name__
