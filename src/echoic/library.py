"""The library: what a Python user imports, and all that the command line does with one.

Wiring only: it hands what is open (:mod:`echoic.opening`) to the parts that do the work.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from echoic.arguments import checked
from echoic.errors import UsageError, quoted
from echoic.finding import Finder, Globs, Report
from echoic.opening import explained
from echoic.search.query import Filters
from echoic.spec import EncoderSpec
from echoic.storage.catalog import Catalog
from echoic.types import FileRecord, Hit, IndexReport, Status, StrPath, TrackChoice

if TYPE_CHECKING:
    from echoic.heard.result import HeardSpan
    from echoic.search.concepts import Part
    from echoic.search.result import Concept, Taught

__all__ = ["Library"]

#: A part of a file: path, start and end in seconds.
Span = tuple[StrPath, float | None, float | None]


class Library(Finder):
    """A searchable collection of audio files.

    It may be used from many threads, and while one of them indexes: they share its encoders and its index.
    One thread writes at a time; another that wants to gets a LibraryBusyError, as another process does.

    Parameters
    ----------
    folder : path, optional
        Where the library is kept; made by the first :meth:`index`. By default ``$ECHOIC_LIBRARY``, or else
        the platform's folder for a user's data.
    noted : callable, optional
        Called with the path of a query, or its words, and with a :class:`~echoic.types.Note` on it.

    Notes
    -----
    What it finds, and how, say :meth:`search`, :meth:`versions`, :meth:`identify`, :meth:`monitor` and
    :meth:`duplicates` of :class:`echoic.finding.Finder`. What writes raises LibraryBusyError while another
    thread or process is writing.

    Examples
    --------
    >>> from echoic import Library
    >>> with Library("my-library") as library:  # doctest: +SKIP
    ...     library.index(["recordings"])
    ...     for hit in library.search("door.wav", k=5):
    ...         print(hit.rank, hit.path, hit.start, hit.end, hit.score)
    """

    @explained
    @checked
    def index(
        self,
        paths: Sequence[StrPath],
        *,
        encoders: Sequence[str] = (),
        store: str | None = None,
        jobs: int | None = None,
        ray: str | None = None,
        tags: Sequence[str] = (),
        track: TrackChoice | None = None,
        leave: Collection[Path] = (),
        progress: Report = None,
    ) -> IndexReport:
        """Bring the library up to date with files and folders, and make it if there is none.

        New and changed files are encoded, renames followed, deleted files forgotten. A file that cannot be
        read is recorded and skipped. Interrupt it whenever you like: what is done is kept, and the next call
        goes on.

        Parameters
        ----------
        paths : sequence of path
            Files, and folders that are searched to their depths.
        encoders : sequence of str
            Names, or paths of ``.onnx`` models. By default those that the library has; a new library starts
            with ``sound``, ``fingerprint``, ``harmony`` and ``spectral``.
        store : str, optional
            Where a new library keeps its vectors: a Milvus URI. By default beside its catalog.
        jobs : int, optional
            Worker processes; by default one for each core.
        ray : str, optional
            Encode on a Ray cluster: its address, ``auto`` for the one that this machine belongs to, ``local``
            for one of this machine alone. All machines must see the files at the same paths.
        tags : sequence of str
            Given to all files under ``paths``.
        track : int, "all" or "mix", optional
            Which of a file's tracks of sound is heard, where it has several: one of them, from 1, each by
            itself, or their mix. By default the first in which something is heard. Known files that were
            heard otherwise are read anew.
        leave : collection of Path
            Absolute paths of files to leave as they are known, being written at the moment, say.

        Raises
        ------
        UnknownEncoderError, EncoderError
            If an encoder is not there or cannot be loaded.
        ClusterError
            If the Ray cluster cannot be reached.
        """
        from echoic.indexing import check_request, index

        places, is_new = [Path(path) for path in paths], not self.exists()
        check_request(places, encoders, tags, track, is_new=is_new)
        catalog, spaces = self._open(create=True)
        with catalog.writing(is_new=is_new):
            pool = self._opening.workers(jobs, ray)
            spaces.settle_store(store)
            required = spaces.settle_encoders(encoders)
            return index(
                places,
                catalog,
                spaces,
                required,
                pool,
                tags=tags,
                track=track,
                leave=leave,
                progress=progress,
            )

    @checked
    def watch(
        self,
        paths: Sequence[StrPath],
        *,
        update: Callable[..., IndexReport] | None = None,
        pause: float = 2.0,
    ) -> Iterator[IndexReport]:
        """Index, and then again whenever something under ``paths`` changes; never ends by itself.

        Parameters
        ----------
        update : callable, optional
            Run after each change, with the files not to be touched yet as ``leave``; by default
            ``index(paths, leave=leave)``.
        pause : float
            Seconds between two looks at what is changing. A file is taken once it is the same in two of them;
            one that still grows holds up no other. While nothing changes there is a look a minute, for what
            the system tells nothing of.

        Yields
        ------
        IndexReport
            After each run.
        """
        from echoic.watching import watch

        return watch([Path(path) for path in paths], update or partial(self.index, paths), pause)

    @explained
    @checked
    def remove(self, paths: Sequence[StrPath]) -> int:
        """Forget files, all files under folders or in globs; the audio itself is not touched.

        Returns
        -------
        int
            How many files were forgotten.
        """
        from echoic.indexing import forget

        catalog, spaces = self._open()
        with catalog.writing():
            return forget([Path(path) for path in paths], catalog, spaces)

    @explained
    @checked
    def tag(self, paths: Sequence[StrPath], *, add: Sequence[str] = (), remove: Sequence[str] = ()) -> int:
        """Give tags to indexed files, all under folders or in globs, and take tags away.

        Parameters
        ----------
        add, remove : sequence of str
            ``VALUE`` or ``NAME=VALUE``, but not ``heard=…``, which is what Echoic hears; removed is what is
            there under any name if none is said. A tag read from the file itself comes back when the file
            changes.

        Returns
        -------
        int
            How many files that are.
        """
        if not (add or remove):
            raise UsageError("say which tags to add or to remove")
        catalog, _ = self._open()
        with catalog.writing(), catalog.transaction():
            ids = sorted({i for path in paths for i in catalog.ids_named(Path(path))})
            catalog.untag_files(ids, remove)
            catalog.tag_files(ids, add)
        return len(ids)

    @explained
    @checked
    def teach(
        self, name: str, yes: Sequence[StrPath | Span] = (), no: Sequence[StrPath | Span] = ()
    ) -> Taught:
        """Teach the library a concept by examples: what it is, and what it is not.

        They add up over calls; of two answers on one span the later counts. It is then found by
        :meth:`instances`, in what is heard in the library's files (``index(..., encoders=["events"])``), or
        else in the windows of ``sound``. The files need not be in the library.

        Parameters
        ----------
        name : str
            Of the concept, new or known; in any case.
        yes, no : sequence of path or (path, start, end)
            Files, and parts of files in seconds. Of what :meth:`proposals` chose, start and end are those of
            it.

        Returns
        -------
        Taught
            Of several examples, files that cannot be used are told there, and all others are kept.

        Raises
        ------
        UsageError
            If nothing is there that the concept is, or a span is none.
        AudioError
            If no file can be used.
        """
        from echoic.search.concepts import Part, teach

        spans = [[_part(one, Part) for one in given] for given in (yes, no)]
        return teach(*self._open(), name, *spans, noted=self._note)

    @explained
    @checked
    def proposals(
        self,
        name: str,
        k: int = 10,
        *,
        path: Globs = None,
        min_duration: float | None = None,
        max_duration: float | None = None,
        tags: Sequence[str] = (),
    ) -> list[Hit]:
        """Choose spans whose answer would help most to find a concept.

        They are to be listened to, and given to :meth:`teach` as what is, or is not, of it.

        Returns
        -------
        list of Hit
            At most ``k``, in the order in which to ask: in turn what is surest and what is most in doubt.
            None where nothing is near enough.
        """
        from echoic.search.concepts import propose

        filters = Filters(path, min_duration, max_duration, tags)
        return propose(*self._open(), name, k, filters, noted=self._note)

    @explained
    def concepts(self) -> list[Concept]:
        """Return what the library was taught, in order of name."""
        from echoic.search.concepts import known

        return known(*self._open(), noted=self._note)

    @explained
    @checked
    def concept(self, name: str) -> Concept:
        """Return what the library was taught of one concept.

        Raises
        ------
        UsageError
            If it was taught nothing of that name.
        """
        from echoic.search.concepts import known

        return known(*self._open(), name, noted=self._note)[0]

    @explained
    @checked
    def forget_concept(self, name: str) -> None:
        """Forget a concept with all that was said of it."""
        from echoic.search.concepts import forget

        forget(self._open()[0], name)

    @explained
    @checked
    def remove_encoder(self, encoder: str) -> None:
        """Forget an encoder, by name or path, with all vectors that it made; it need not be installed."""
        catalog, spaces = self._open()
        with catalog.writing():
            spaces.drop(spaces.named(encoder))

    # Looking at it

    def exists(self) -> bool:
        """Tell whether the library has been made."""
        return Catalog.exists(self.folder)

    @explained
    @checked
    def files(self, under: StrPath | None = None, *, tags: Sequence[str] = ()) -> list[FileRecord]:
        """Return what is known of all files, in order of path, or of those under a path or in a glob.

        ``tags`` are as of :meth:`search`.
        """
        from echoic.heard.library import check_kinds

        catalog = self._open()[0]
        if under is None and not tags:
            return catalog.files()
        check_kinds(catalog, tags)
        ids = catalog.matching(tags=tags)
        named = ids if under is None else ids.intersection(catalog.ids_named(Path(under)))
        return catalog.files(file_ids=named)

    @explained
    @checked
    def describe(self, file: StrPath) -> list[HeardSpan]:
        """Return what is heard in a file of the library, and when, in order of time.

        It was told from the file's vectors when it was indexed, to within half a window of 5 s;
        :func:`echoic.describe` listens more closely. Nothing where the library has no encoder that tells
        kinds of sound.

        Raises
        ------
        UsageError
            If the file is not in the library.
        """
        from echoic.heard.result import HeardSpan

        catalog = self._open()[0]
        record = catalog.file_at(Path(file))
        if record is None:
            raise UsageError(f"{quoted(file)} is not in the library; add it with: echoic index PATH")
        return [
            HeardSpan(record.path, start, end, label, probability)
            for label, start, end, probability in catalog.heard_in(record.id)
        ]

    @explained
    def encoders(self) -> dict[str, EncoderSpec]:
        """Return the library's encoders, by the name or path that they are loaded by."""
        return self._open()[0].encoders()

    @explained
    def status(self) -> Status:
        """Sum up the library: files, hours, encoders, vectors, bytes on disk."""
        catalog, spaces = self._open()
        counts = catalog.count()
        return Status(
            folder=str(self.folder),
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

    # Keeping it for years

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


def _part(given: StrPath | Span, make: Callable[..., Part]) -> Part:
    return make(Path(given[0]), *given[1:]) if isinstance(given, tuple) else make(Path(given))


def _size_on_disk(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # another process may be renewing the cache
            total += path.stat().st_size if path.is_file() else 0
    return total
