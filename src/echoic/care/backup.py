"""Copies of a library, whole and of one moment, and libraries made of them again.

A backup is a library itself, which can be searched where it lies: its database as it was at one moment,
whoever indexed meanwhile, and beside it a digest, by which :func:`restore` tells that no bit has changed
since. What can be made anew, the cache of the index, is not in it; nor are the vectors of a library that
keeps them in Milvus left there: they are brought beside the catalog, so that the backup needs no server.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing, nullcontext
from pathlib import Path

from echoic.errors import LibraryError, UsageError, quoted
from echoic.files import folder_written_whole
from echoic.storage.catalog import FILE, SEAL, Catalog
from echoic.storage.spaces import EMBEDDED, Spaces
from echoic.types import Segments

__all__ = ["back_up", "restore"]

#: Told how many bytes of how many are done.
Told = Callable[[int, int], None]

_FORMAT = 1
_BLOCK = 1 << 20
_AT_ONCE = 256  # files whose vectors are brought over in one transaction


def back_up(catalog: Catalog, spaces: Spaces, destination: Path, told: Told) -> None:
    """Copy a library, as it is at this moment, to a folder that is made for it.

    Raises
    ------
    UsageError
        If something is there already, or no folder to make it in.
    LibraryBusyError
        If the vectors lie in Milvus, and another thread or process writes: it has no state of one moment.
    LibraryError
        If the library is damaged, which its backup would be, too.
    """
    _check_place(destination)
    is_elsewhere = spaces.uri != EMBEDDED
    with folder_written_whole(destination) as folder:
        with catalog.writing() if is_elsewhere else nullcontext():
            try:
                catalog.copy_to(folder, told)
            except sqlite3.Error as error:
                raise LibraryError(
                    f"the library {quoted(catalog.folder)} could not be copied to {quoted(destination)} "
                    f"({error}); make room there, or see whether the library is sound with: echoic doctor"
                ) from error
            with closing(Catalog(folder)) as copy:
                if is_elsewhere:
                    _bring_vectors(spaces, copy)
                if copy.check():
                    raise LibraryError(
                        f"the library {quoted(catalog.folder)} is damaged and was not copied; "
                        "see what is wrong with: echoic doctor"
                    )
        digest = hashlib.sha256()
        with (folder / FILE).open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
        (folder / SEAL).write_text(json.dumps({"format": _FORMAT, "sha256": digest.hexdigest()}))


def _bring_vectors(spaces: Spaces, copy: Catalog) -> None:
    """Put the vectors that lie elsewhere beside the copy's catalog."""
    with copy.transaction():
        copy.set_setting("store", EMBEDDED)
    with closing(Spaces(copy)) as beside:
        for spec in [*copy.encoders().values(), *copy.superseded()]:
            store, target = spaces.store(spec), beside.store(spec)
            if store.joins_transactions:
                continue
            due = [(file_id, n) for file_id, n in copy.n_segments(spec.key) if n]
            for at in range(0, len(due), _AT_ONCE):
                some = due[at : at + _AT_ONCE]
                found = store.fetch([file_id for file_id, _ in some])
                with copy.transaction():
                    for file_id, n in some:
                        segments = found.get(file_id, Segments.none(spec.dim))
                        if len(segments) != n:
                            raise LibraryError(
                                f"vectors of the library {quoted(copy.folder)} are missing in {spaces.uri}, "
                                "and it was not copied; see which with: echoic doctor"
                            )
                        target.replace(file_id, segments)


def restore(backup: Path, folder: Path, told: Told) -> None:
    """Make a library of a backup.

    Raises
    ------
    UsageError
        If something is in the library's folder already.
    LibraryError
        If it is no backup, was changed since it was made, or is of a newer Echoic.
    """
    if Catalog.exists(folder):
        raise UsageError(
            f"there is a library at {quoted(folder)} already; move it out of the way, or choose another "
            "folder with --library"
        )
    _check_place(folder, may_be_empty=True)
    digest = _read_seal(backup)
    with folder_written_whole(folder) as place:
        if _copied(backup / FILE, place / FILE, told) != digest:
            raise LibraryError(
                f"the backup {quoted(backup)} was changed since it was made, or its disk is failing; nothing "
                "was restored: use another backup, or see what can be saved of it with: "
                f"echoic doctor --library {quoted(backup)}"
            )
        with closing(Catalog(place)) as catalog:
            findings = catalog.check()
        if findings:
            raise LibraryError(f"the backup {quoted(backup)} is damaged: {findings[0]}; use another")


def _check_place(path: Path, *, may_be_empty: bool = False) -> None:
    is_free = not os.path.lexists(path) or (may_be_empty and path.is_dir() and not any(path.iterdir()))
    if not is_free:
        raise UsageError(f"{quoted(path)} is there already; remove it or give another name")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"there is no folder {quoted(path.parent)}; make it or give another")


def _read_seal(backup: Path) -> str:
    try:
        seal = json.loads((backup / SEAL).read_bytes())
        made, digest = seal["format"], seal["sha256"]
    except FileNotFoundError as error:
        raise LibraryError(
            f"{quoted(backup)} is no backup: there is no {SEAL} in it; one is made with: "
            "echoic library backup DEST"
        ) from error
    except (KeyError, NotADirectoryError, RecursionError, TypeError, ValueError) as error:
        raise LibraryError(f"{quoted(backup)} is no backup, or a damaged one; use another") from error
    if not (backup / FILE).is_file():
        raise LibraryError(f"the backup {quoted(backup)} lacks its {FILE}; use another")
    if made != _FORMAT:
        raise LibraryError(f"the backup {quoted(backup)} is of a newer Echoic; update this one")
    return str(digest)


def _copied(source: Path, target: Path, told: Told) -> str:
    """Copy a file, make sure that it is on the disk, and return its SHA-256 in hexadecimal."""
    digest = hashlib.sha256()
    done, total = 0, source.stat().st_size
    with source.open("rb") as reading, target.open("xb") as writing:
        while block := reading.read(_BLOCK):
            digest.update(block)
            writing.write(block)
            done += len(block)
            told(done, total)
        writing.flush()
        os.fsync(writing.fileno())
    return digest.hexdigest()
