"""What of :class:`echoic.library.Library` keeps it sound for years: figures, checks, copies, exchange."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from echoic.arguments import checked
from echoic.opening import Opened, Report, explained
from echoic.types import Status, StrPath

__all__ = ["Keeper"]


class Keeper(Opened):
    """Looks after a library."""

    @explained
    def status(self) -> Status:
        """Sum up the library: files, hours, encoders, vectors, bytes on disk."""
        catalog, spaces = self._open()
        counts = catalog.count()
        return Status(
            folder=str(self.folder),
            catalog=catalog.place,
            store=spaces.uri,
            files=sum(counts.values()),
            partial=counts.get("partial", 0),
            failed=counts.get("failed", 0),
            duration=catalog.total_duration(),
            segments={spec.key: len(spaces.store(spec)) for spec in catalog.encoders().values()},
            bytes_on_disk=_size_on_disk(self.folder),
        )

    @explained
    @checked
    def check(self, *, read_files: bool = False, progress: Report = None) -> list[str]:
        """Look for damage; return one sentence for each finding, none if the library is sound.

        The database is checked page by page, and each collection against its store: whatever a file's row
        promises must be there, segment for segment, with the checksums that it was written with. So must the
        cache of the index. Every encoder must load, from the very bytes that its card is of.

        Parameters
        ----------
        read_files : bool
            Read all files, too, and compare them with what was indexed.
        progress : callable, optional
            Told of each file that is read.
        """
        from echoic.care.upkeep import check_files

        catalog, spaces = self._open()
        findings = [*catalog.check(), *spaces.check()]
        return [*findings, *check_files(catalog, progress)] if read_files else findings

    @explained
    @checked
    def backup(self, destination: StrPath, *, told: Callable[[int, int], None] | None = None) -> list[str]:
        """Copy the library as it is at this moment, also while somebody indexes, to a folder made for it.

        The copy is a library itself, with its vectors beside its catalog also where they are in Milvus; then
        nobody may index meanwhile. Audio is not copied, and models that lie outside of Echoic are not.

        Parameters
        ----------
        destination : path
            A folder that is not there yet.
        told : callable, optional
            Told how many bytes of how many are copied.

        Returns
        -------
        list of str
            Paths of the models that the library's encoders are loaded from, which are to be kept, too.

        Raises
        ------
        UsageError
            If something is there already.
        LibraryError
            If the library is damaged.
        """
        from echoic.care.backup import back_up

        catalog, spaces = self._open()
        back_up(catalog, spaces, Path(os.path.abspath(destination)), told or _tell_nobody)
        return [source for source in catalog.encoders() if source.endswith(".onnx")]

    @explained
    @checked
    def restore(self, backup: StrPath, *, told: Callable[[int, int], None] | None = None) -> None:
        """Make this library, which must not be there yet, of a backup; ``told`` is as of :meth:`backup`.

        Raises
        ------
        UsageError
            If there is a library, or anything else, in the folder.
        LibraryError
            If a bit of the backup has changed since it was made, or it is none.
        """
        from echoic.care.backup import restore

        restore(Path(backup), Path(os.path.abspath(self.folder)), told or _tell_nobody)

    @explained
    def rebuild(self) -> None:
        """Make the cache of the index anew; nothing of what is there is believed."""
        from echoic.care.upkeep import rebuild

        catalog, spaces = self._open()
        with catalog.writing():
            rebuild(catalog, spaces)

    @explained
    def compact(self) -> int:
        """Drop vectors that belong to no file, give room back to the system, and return how many bytes."""
        from echoic.care.upkeep import compact

        catalog, spaces = self._open()
        with catalog.writing():
            before = _size_on_disk(self.folder)
            compact(catalog, spaces)
        return max(0, before - _size_on_disk(self.folder))

    @explained
    @checked
    def export_vectors(self, file: StrPath, *, encoder: str | None = None, progress: Report = None) -> int:
        """Write all vectors of an encoder as a table of Apache Parquet, a row a segment.

        The columns are told in :mod:`echoic.care.exchange`. It needs the extra ``[parquet]``.

        Parameters
        ----------
        file : path
            Nothing may be there yet.
        encoder : str, optional
            By default the one that searches by sound use.

        Returns
        -------
        int
            How many rows.
        """
        from echoic.care.exchange import export_vectors

        return export_vectors(*self._open(), Path(file), encoder, progress)

    @explained
    @checked
    def import_vectors(self, file: StrPath, *, progress: Report = None) -> tuple[int, list[str]]:
        """Give files of the library the vectors of a table, as :meth:`export_vectors` writes it.

        A file must have the very content that the vectors are of, and the encoder the very revision.

        Returns
        -------
        n_files : int
            That were given vectors.
        left_out : list of str
            A sentence for each file that was not.
        """
        from echoic.care.exchange import import_vectors

        catalog, spaces = self._open()
        with catalog.writing():
            return import_vectors(catalog, spaces, Path(file), progress)


def _tell_nobody(done: int, total: int) -> None:
    """Take how far something is, where nobody asks."""


def _size_on_disk(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # another process may be renewing the cache
            total += path.stat().st_size if path.is_file() else 0
    return total
