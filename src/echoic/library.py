"""The library: what a Python user imports, and all that the command line does.

Wiring only: it opens the catalog, the stores and the encoders when they are first needed, and hands them to
the parts that do the work.
"""

from __future__ import annotations

import math
import os
import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial, wraps
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from echoic.catalog import Catalog, parse_tag, unusable
from echoic.encoders.base import mean_vector
from echoic.encoders.registry import DEFAULT_ENCODERS, bundled_for, checked_encoder, load_encoder
from echoic.errors import LibraryError, NotAudioError, UnreadableError, UsageError, quoted
from echoic.machine import n_cores
from echoic.search import rank_files, refine_query, thin
from echoic.spaces import Spaces, spell_out
from echoic.types import (
    Duplicate,
    EncoderSpec,
    FileRecord,
    Hit,
    IndexReport,
    LiveSound,
    Match,
    Progress,
    Segments,
    Status,
    TimeAlignment,
    TrackChoice,
)

if TYPE_CHECKING:
    from echoic.recognition import Recognition
    from echoic.workers import WorkerPool

__all__ = ["Library", "default_folder"]

StrPath = str | os.PathLike[str]
_P = ParamSpec("_P")
_R = TypeVar("_R")


def _explained(method: Callable[Concatenate[Library, _P], _R]) -> Callable[Concatenate[Library, _P], _R]:
    """Turn what SQLite says of a damaged database, a full disk and the like into a LibraryError."""

    @wraps(method)
    def explained(library: Library, /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return method(library, *args, **kwargs)
        except sqlite3.Error as error:
            raise unusable(library.folder, error) from error

    return explained


def default_folder() -> Path:
    """Return ``$ECHOIC_LIBRARY``, or else the platform's folder for a user's data."""
    named = os.environ.get("ECHOIC_LIBRARY")
    if named:
        return Path(os.path.expanduser(named))  # noqa: PTH111 - a name that stands for no user stays
    import platformdirs

    return platformdirs.user_data_path("echoic", appauthor=False)


class Library:
    """A searchable collection of audio files.

    Parameters
    ----------
    folder : path, optional
        Where the library is kept; made by the first :meth:`index`. By default ``$ECHOIC_LIBRARY``, or else
        the platform's folder for a user's data.
    noted : callable, optional
        Called with the path of a query, and with a note of what a person should know of it; see
        :class:`~echoic.types.AudioInfo`.

    Examples
    --------
    >>> from echoic import Library
    >>> with Library("my-library") as library:  # doctest: +SKIP
    ...     library.index(["recordings"])
    ...     for hit in library.search("door.wav", k=5):
    ...         print(hit.rank, hit.path, hit.start, hit.end, hit.score)
    """

    def __init__(
        self, folder: StrPath | None = None, *, noted: Callable[[str, str], None] | None = None
    ) -> None:
        self.folder = default_folder() if folder is None else Path(folder)
        self._noted = noted
        self._stack = ExitStack()
        self._opened: tuple[Catalog, Spaces] | None = None
        self._pool: tuple[int, WorkerPool] | None = None

    def __enter__(self) -> Library:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release files, connections and worker processes. The library opens itself again when used."""
        self._stack.close()
        self._pool = None
        self._opened = None

    # Writing

    @_explained
    def index(
        self,
        paths: Sequence[StrPath],
        *,
        encoders: Sequence[str] = (),
        store: str | None = None,
        jobs: int | None = None,
        tags: Sequence[str] = (),
        track: TrackChoice | None = None,
        leave: Collection[Path] = (),
        progress: Callable[[Progress], None] | None = None,
    ) -> IndexReport:
        """Bring the library up to date with files and folders.

        New and changed files are encoded, renames followed, deleted files forgotten. A file that cannot be
        read is recorded and skipped. Interrupt it whenever you like: what is done is kept, and the next call
        goes on.

        Parameters
        ----------
        paths : sequence of path
            Files, and folders that are searched to their depths.
        encoders : sequence of str
            Names, or paths of ``.onnx`` models. By default those that the library has; a new library starts
            with all that are bundled.
        store : str, optional
            Where a new library keeps its vectors: a Milvus URI. By default beside its catalog.
        jobs : int, optional
            Worker processes; by default one for each core.
        tags : sequence of str
            Given to all files under ``paths``.
        track : int, "all" or "mix", optional
            Which of a file's tracks of sound is heard, where it has several: one of them, from 1, each by
            itself, or their mix. By default the first in which something is heard. Known files that were
            heard otherwise are read anew.
        leave : collection of Path
            Absolute paths of files to leave as they are known, being written at the moment, say.
        progress : callable, optional
            Called with a :class:`~echoic.types.Progress` after each file.

        Returns
        -------
        IndexReport

        Raises
        ------
        UsageError
            If there are no paths, a tag is empty, or the library's store is another.
        UnknownEncoderError, EncoderError
            If an encoder is not there or cannot be loaded.
        LibraryBusyError
            If another process is indexing this library.
        """
        from echoic.indexing import bring_up_to_date

        if not paths:
            raise UsageError("name at least one file or folder to index")
        _check_track(track)
        for tag in tags:
            parse_tag(tag)
        places = [Path(path) for path in paths]
        is_new = not self.exists()
        if is_new:  # nothing is made for a request that cannot be met
            if not any(os.path.lexists(path) for path in places):
                raise UnreadableError(f"{quoted(places[0])} does not exist; name a file or folder to index")
            for name in encoders:
                checked_encoder(name)
        catalog, spaces = self._open(create=True)
        with catalog.writing(is_new=is_new):
            spaces.settle_store(store)
            required = spaces.settle_encoders(encoders)
            superseded = catalog.superseded()
            report = bring_up_to_date(
                places,
                catalog,
                spaces.stores(),
                {spec.key: source for source, spec in catalog.encoders().items()},
                required,
                self._workers(jobs),
                replaced={old.key: new.key for old, new in superseded.items()},
                track=track,
                leave=leave,
                progress=progress,
            )
            for spec in superseded:
                spaces.drop(spec)
            tagged = {i for place in places for i in catalog.ids_at(place)} if tags else set()
            with catalog.transaction():
                catalog.tag_files(sorted(tagged), tags)
        return replace(report, tagged=len(tagged))

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

    @_explained
    def remove(self, paths: Sequence[StrPath]) -> int:
        """Forget files, all files under folders or in globs; the audio itself is not touched.

        Returns
        -------
        int
            How many files were forgotten.

        Raises
        ------
        LibraryBusyError
            If another process is writing to the library.
        """
        catalog, spaces = self._open()
        with catalog.writing():
            ids = sorted({i for path in paths for i in catalog.ids_named(Path(path))})
            stores = spaces.stores().values()
            with catalog.transaction():
                for store in stores:
                    store.delete(ids)
                catalog.delete_files(ids)
            for store in stores:
                store.flush()
        return len(ids)

    @_explained
    def tag(self, paths: Sequence[StrPath], *, add: Sequence[str] = (), remove: Sequence[str] = ()) -> int:
        """Give tags to indexed files, or all indexed files under folders, and take tags away.

        Parameters
        ----------
        paths : sequence of path
            Files and folders, or globs as of :meth:`search`.
        add, remove : sequence of str
            ``VALUE`` or ``NAME=VALUE``; removed is what is there under any name if none is said. A tag read
            from the file itself comes back when the file changes.

        Returns
        -------
        int
            How many files that are.

        Raises
        ------
        UsageError
            If there is nothing to add or remove, or a tag is empty.
        LibraryBusyError
            If another process is writing to the library.
        """
        if not (add or remove):
            raise UsageError("say which tags to add or to remove")
        catalog, _ = self._open()
        with catalog.writing(), catalog.transaction():
            ids = sorted({i for path in paths for i in catalog.ids_named(Path(path))})
            catalog.untag_files(ids, remove)
            catalog.tag_files(ids, add)
        return len(ids)

    @_explained
    def remove_encoder(self, encoder: str) -> None:
        """Forget an encoder, by name or path, with all vectors that it made; it need not be installed.

        Raises
        ------
        UnknownEncoderError
            If the library has no such encoder.
        LibraryBusyError
            If another process is writing to the library.
        """
        catalog, spaces = self._open()
        with catalog.writing():
            _, spec = spaces.chosen(encoder)
            spaces.drop(spec)

    # Searching

    @_explained
    def search(
        self,
        query: StrPath | None = None,
        k: int = 10,
        *,
        encoder: str | None = None,
        start: float | None = None,
        end: float | None = None,
        like: Sequence[StrPath] = (),
        unlike: Sequence[StrPath] = (),
        path: str | Sequence[str] | None = None,
        min_duration: float | None = None,
        max_duration: float | None = None,
        tags: Sequence[str] = (),
        include_query: bool = False,
    ) -> list[Hit]:
        """Find the files that sound most like an example.

        Parameters
        ----------
        query : path, optional
            An audio file, in the library or not. Without it, ``like`` must name some.
        k : int
            Files wanted.
        encoder : str, optional
            The space to compare in; by default the library's ``sound``, or else its first.
        start, end : float, optional
            Seconds: use this part of the query only.
        like, unlike : sequence of path
            Further examples of what is wanted, and of what is not.
        path : str or sequence of str, optional
            Only files whose path fits this glob, or one of several.
        min_duration, max_duration : float, optional
            Only files of that length, in seconds.
        tags : sequence of str
            Only files with all of these tags, ``VALUE`` or ``NAME=VALUE``.
        include_query : bool
            Let the query itself, and the other examples, be among the hits.

        Returns
        -------
        list of Hit
            At most ``k``, best first, one for each file.

        Raises
        ------
        LibraryError
            If there is no library.
        AudioError
            If an example cannot be read, or nothing can be heard in it.
        UsageError
            If there is nothing to search by, or a number makes no sense.
        """
        if query is None and not like:
            raise UsageError("give a file to search by, or examples that it should be like")
        if query is None and (start is not None or end is not None):
            raise UsageError("start and end choose a part of a query file, and there is none")
        if k < 1:
            raise UsageError(f"k is the number of hits wanted and must be at least 1, not {k}")
        _check_part(start, end)
        catalog, spaces = self._open()
        source, spec = spaces.chosen(encoder)
        within = self._within(path, min_duration, max_duration, tags)
        without = set() if include_query else self._ids([*([] if query is None else [query]), *like, *unlike])

        main = None
        if query is not None:
            main = thin(self._vectors_of(Path(query), source, spec, start, end).vectors)
        wanted, unwanted = (
            [mean_vector(self._vectors_of(Path(example), source, spec).vectors) for example in examples]
            for examples in (like, unlike)
        )
        queries = refine_query(main, wanted, unwanted)

        matches = rank_files(spaces.store(spec), queries, k, within=within, without=without)
        paths = catalog.paths([file_id for file_id, _, _ in matches])
        hits: list[Hit] = []
        for file_id, segment, score in matches:
            spans = catalog.spans(file_id, spec.key)
            if file_id in paths and segment < len(spans):  # gone or changed since the vectors were read
                begin, finish = spans[segment]
                hits.append(Hit(len(hits) + 1, paths[file_id], float(begin), float(finish), score, spec.name))
        return hits

    @_explained
    def versions(
        self,
        query: StrPath,
        k: int = 10,
        *,
        start: float | None = None,
        end: float | None = None,
        path: str | Sequence[str] | None = None,
        min_duration: float | None = None,
        max_duration: float | None = None,
        tags: Sequence[str] = (),
        include_query: bool = False,
        progress: Callable[[Progress], None] | None = None,
    ) -> list[Hit]:
        """Find other versions of a piece of music: other takes, arrangements, keys and tempi.

        What is compared is the harmony over time, so recordings that share a long passage of chords come
        first. Every file is looked at: some thousand pieces take seconds.

        Parameters
        ----------
        query : path
            An audio file, in the library or not; of a long one the first ten minutes count.
        k : int
            Files wanted.
        start, end : float, optional
            Seconds: use this part of the query only.
        path, min_duration, max_duration, tags, include_query
            As in :meth:`search`.
        progress : callable, optional
            Called with a :class:`~echoic.types.Progress` after each file.

        Returns
        -------
        list of Hit
            At most ``k``, best first, each with the passage that both have. From a score of about .6 on it is
            likely the same music.

        Raises
        ------
        LibraryError
            If there is no library.
        UnknownEncoderError
            If the library was made without ``harmony``.
        AudioError
            If the query cannot be read, or nothing can be heard in it.
        UsageError
            If a number makes no sense.
        """
        from echoic.versions import LONGEST, ranked

        if k < 1:
            raise UsageError(f"k is the number of hits wanted and must be at least 1, not {k}")
        _check_part(start, end)
        catalog, spaces = self._open()
        source, spec = spaces.chosen(None, "versions")
        wanted = self._vectors_of(Path(query), source, spec, start, end).vectors[:LONGEST]
        within = self._within(path, min_duration, max_duration, tags)
        without = set() if include_query else self._ids([query])
        records = [
            record
            for record in catalog.files()
            if record.id not in without and (within is None or record.id in within)
        ]
        hits: list[Hit] = []
        for record, passage in ranked(wanted, spaces.store(spec), records, progress):
            spans = catalog.spans(record.id, spec.key)
            if passage.end < len(spans):  # else it changed since its vectors were read
                begin, finish = float(spans[passage.start, 0]), float(spans[passage.end, 1])
                hits.append(Hit(len(hits) + 1, record.path, begin, finish, passage.score, spec.name))
            if len(hits) == k:
                break
        return hits

    @_explained
    def identify(
        self,
        query: StrPath,
        *,
        start: float | None = None,
        end: float | None = None,
        min_score: float | None = None,
        path: str | Sequence[str] | None = None,
        tags: Sequence[str] = (),
        include_query: bool = False,
    ) -> list[Match]:
        """Tell which recordings of the library are heard in a file, and where; none if it is none of them.

        Noise, rooms, telephones, codecs and changes of speed or tempo up to 10 % are seen through. The file
        may be of any length, and several recordings may be heard in it.

        Parameters
        ----------
        query : path
            An audio file. If it is in the library itself, its other copies are found.
        start, end : float, optional
            Seconds: listen to this part of it only.
        min_score : float, optional
            Probability from which on a match is told; by default one that unknown recordings rarely reach.
        path, tags
            As in :meth:`search`: only such recordings.
        include_query : bool
            Let the file itself be found.

        Returns
        -------
        list of Match
            In order of time; each airing once. All of a query, a jingle say, is told at every place of a
            recording where it lies, the nearest first, as copies of a recording are.

        Raises
        ------
        LibraryError
            If there is no library.
        UnknownEncoderError
            If the library was made without ``fingerprint``.
        AudioError
            If the query cannot be read.
        UsageError
            If a number makes no sense.
        """
        _check_part(start, end)
        within = self._within(path, None, None, tags)
        without = set() if include_query else self._ids([query])
        return self._recognition(min_score).identify(Path(query), start, end, within=within, without=without)

    def monitor(
        self,
        source: StrPath | LiveSound,
        *,
        min_score: float | None = None,
        path: str | Sequence[str] | None = None,
        tags: Sequence[str] = (),
    ) -> Iterator[Match]:
        """Listen to a stream, or a long file, and tell each recording of the library once it is over.

        Parameters
        ----------
        source : path, str or LiveSound
            A file; an ``http://`` or ``https://`` address: web radio, or a file; or sound that comes in some
            other way, such as :func:`~echoic.audio.live.microphone`. A stream that breaks off is connected to
            again; times are seconds since listening began.
        min_score : float, optional
            Probability from which on a match is told; by default one that unknown recordings rarely reach.
        path, tags
            As in :meth:`search`: only such recordings.

        Yields
        ------
        Match
            As they are heard. Memory does not grow.

        Raises
        ------
        LibraryError
            If there is no library.
        UnknownEncoderError
            If the library was made without ``fingerprint``.
        AudioError
            If the source cannot be read, or a stream does not come back.
        UsageError
            If ``min_score`` is no probability.
        """
        try:
            yield from self._recognition(min_score).monitor(
                source if isinstance(source, LiveSound) else os.fspath(source),
                within=self._within(path, None, None, tags),
            )
        except sqlite3.Error as error:  # while it is read: _explained would only see it begin
            raise unusable(self.folder, error) from error

    @_explained
    def duplicates(
        self, *, min_score: float | None = None, progress: Callable[[Progress], None] | None = None
    ) -> list[Duplicate]:
        """Find the recordings that the library holds twice, whole or in part, in any format and level.

        All at once; see :meth:`duplicates_as_found`.

        Returns
        -------
        list of Duplicate
            Each pair of files once for each part that they share.
        """
        found = self.duplicates_as_found(min_score=min_score, progress=progress)
        return [duplicate for finding in found for duplicate in finding]

    def duplicates_as_found(
        self, *, min_score: float | None = None, progress: Callable[[Progress], None] | None = None
    ) -> Iterator[tuple[Duplicate, ...]]:
        """Tell the recordings that the library holds twice while they are looked for.

        What was found is kept beside the library until that changes: a search that was stopped goes on where
        it was, after it has told the same again.

        Parameters
        ----------
        min_score : float, optional
            Probability from which on two files are told.
        progress : callable, optional
            Called with a :class:`~echoic.types.Progress` after each file, and within long ones.

        Yields
        ------
        tuple of Duplicate
            What belongs together: all pairs of a group of copies, or the parts that one file shares with
            others.

        Raises
        ------
        LibraryError
            If there is no library.
        UnknownEncoderError
            If the library was made without ``fingerprint``.
        UsageError
            If ``min_score`` is no probability.
        """
        from echoic.duplication import Duplication

        _check_probability(min_score)
        try:
            yield from Duplication(*self._open(), min_score).findings(progress)
        except (OSError, sqlite3.Error) as error:
            raise unusable(self.folder, error) from error

    def align(
        self,
        first: StrPath,
        second: StrPath,
        *,
        write: StrPath | None = None,
        progress: Callable[[Progress], None] | None = None,
    ) -> TimeAlignment | None:
        """Tell how two recordings of one event lie in time, to milliseconds; the library need not exist.

        The sound tracks of videos will do. The microphones, rooms and formats may be different, and so may
        the clocks. Where something was cut or put in, or a recorder paused, the two share several stretches.

        Parameters
        ----------
        first, second : path
        write : path, optional
            Where to put the second's sound as it lies in the first's time: both begin at the same moment,
            each stretch lies where the first has it, and the drift is taken out. The suffix chooses the
            format.
        progress : callable, optional
            Called as both are read and encoded.

        Returns
        -------
        TimeAlignment or None
            None if they have nothing in common; then nothing is written.

        Raises
        ------
        AudioError
            If one of them cannot be read, or nothing was found and one is silent or shorter than a second.
        UsageError
            If ``write`` is one of them, or cannot be written.
        """
        from echoic.audio.encode import check_writable
        from echoic.fingerprint.decision import Decision
        from echoic.fingerprint.laying import write_laid
        from echoic.fingerprint.synchronisation import synchronise

        if write is not None:
            check_writable(Path(write))
            inputs = [Path(one) for one in (first, second) if Path(one).exists()]
            if Path(write).exists() and any(one.samefile(write) for one in inputs):
                raise UsageError(f"{quoted(write)} would be overwritten; write to another file")
        encoder = load_encoder(bundled_for("recordings")[0])
        found = synchronise(Path(first), Path(second), encoder, Decision.load(encoder), progress)
        if found is not None and write is not None:
            write_laid(Path(second), Path(write), found.passages)
        return None if found is None else found.told(os.fspath(first), os.fspath(second))

    def embed(
        self,
        paths: Sequence[StrPath],
        *,
        encoder: str = DEFAULT_ENCODERS[0],
        jobs: int | None = None,
        track: TrackChoice | None = None,
        progress: Callable[[Progress], None] | None = None,
    ) -> tuple[dict[str, Segments], dict[str, str]]:
        """Encode files without indexing them; the library need not exist.

        Parameters
        ----------
        paths : sequence of path
            Files and folders.
        encoder : str
            A name, or the path of an ``.onnx`` model.
        track : int, "all" or "mix", optional
            As in :meth:`index`.

        Returns
        -------
        segments : dict of str to Segments
            By path, relative where ``paths`` are, in the order found.
        failed : dict of str to str
            Files that could not be read, with one sentence each.
        """
        from echoic.indexing import embed_paths

        _check_track(track)
        return embed_paths([Path(p) for p in paths], spell_out(encoder), self._workers(jobs), track, progress)

    # Looking at it

    def exists(self) -> bool:
        """Tell whether the library has been made."""
        return Catalog.exists(self.folder)

    @_explained
    def files(self, under: StrPath | None = None, *, tags: Sequence[str] = ()) -> list[FileRecord]:
        """Return what is known of all files, in order of path.

        Parameters
        ----------
        under : path, optional
            Only files at or under it, or that fit it as a glob of :meth:`search`.
        tags : sequence of str
            Only files with all of these tags, ``VALUE`` or ``NAME=VALUE``.
        """
        catalog = self._open()[0]
        if under is None and not tags:
            return catalog.files()
        ids = catalog.matching(tags=tags)
        return catalog.files(
            file_ids=ids if under is None else ids.intersection(catalog.ids_named(Path(under)))
        )

    @_explained
    def encoders(self) -> dict[str, EncoderSpec]:
        """Return the library's encoders, by the name or path that they are loaded by."""
        return self._open()[0].encoders()

    @_explained
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

    @_explained
    def check(self) -> list[str]:
        """Look for damage; return one sentence for each finding, none if the library is sound.

        The database is checked page by page, and each collection against its store: whatever a file's row
        promises must be there, segment for segment. Every encoder must load.
        """
        catalog, spaces = self._open()
        return [*catalog.check(), *spaces.check()]

    # Wiring

    def _open(self, *, create: bool = False) -> tuple[Catalog, Spaces]:
        if self._opened is not None and not self._opened[0].is_there():  # removed, or made anew
            self.close()
        if self._opened is None:
            if not create and not self.exists():
                raise LibraryError(
                    f"there is no library at {self.folder} yet; make one with: echoic index FOLDER"
                )
            catalog = Catalog(self.folder)
            self._stack.callback(catalog.close)
            spaces = Spaces(catalog)
            self._stack.callback(spaces.close)
            self._opened = catalog, spaces
        return self._opened

    def _recognition(self, min_score: float | None) -> Recognition:
        from echoic.recognition import Recognition

        _check_probability(min_score)
        return Recognition(*self._open(), min_score, noted=self._note)

    def _note(self, query: Path, note: str) -> None:
        """Pass on what a person should know of a query."""
        if self._noted is not None:
            self._noted(os.fspath(query), note)

    def _workers(self, jobs: int | None) -> WorkerPool:
        from echoic.workers import WorkerPool

        n_workers = jobs if jobs is not None else n_cores()
        if n_workers < 1:
            raise UsageError(f"jobs is a number of worker processes and must be at least 1, not {n_workers}")
        if self._pool is not None and self._pool[0] != n_workers:
            self._pool[1].close()
        if self._pool is None or self._pool[0] != n_workers:
            self._pool = (n_workers, self._stack.enter_context(WorkerPool(n_workers)))
        return self._pool[1]

    def _vectors_of(
        self, path: Path, source: str, spec: EncoderSpec, start: float | None = None, end: float | None = None
    ) -> Segments:
        """Encode an example, or look it up if it is indexed as it is now.

        Raises
        ------
        AudioError
            If it cannot be read, or nothing can be heard in it.
        """
        is_whole = start is None and end is None
        if is_whole:
            stored = self._open()[1].stored(path, spec)
            if stored is not None:
                return stored
        from echoic.embedding import embed_file, embed_part, why_nothing

        encoder = self._open()[1].encoder(source, spec)
        if is_whole:
            info, found = embed_file(path, {source: encoder})
            segments, why = found[source], why_nothing(info)
            notes: list[str] = [*info.notes] if len(segments) else []
        else:
            notes = []
            segments = embed_part(path, encoder, start, end, noted=notes.append)
            why = "no sound in this part of it"
        if not len(segments):
            raise NotAudioError(f"{quoted(path)} is nothing to search by: {why}; choose another example")
        for note in notes:
            self._note(path, note)
        return segments

    def _within(
        self,
        path: str | Sequence[str] | None,
        min_duration: float | None,
        max_duration: float | None,
        tags: Sequence[str],
    ) -> set[int] | None:
        """Find the files that fit the filters; None if there are none."""
        if path is None and min_duration is None and max_duration is None and not tags:
            return None
        return self._open()[0].matching(
            path=path, min_duration=min_duration, max_duration=max_duration, tags=tags
        )

    def _ids(self, examples: Sequence[StrPath]) -> set[int]:
        """Find those of the examples that are indexed."""
        catalog = self._open()[0]
        # They may be indexed through a link.
        spelt = [path for example in examples for path in (Path(example), Path(example).resolve())]
        return {record.id for path in spelt if (record := catalog.file_at(path)) is not None}


def _check_probability(min_score: float | None) -> None:
    if min_score is not None and not 0 <= min_score <= 1:
        raise UsageError(f"min_score is a probability from 0 to 1, and is {min_score:g}")


def _check_part(start: float | None, end: float | None) -> None:
    """Refuse a part of a query that is none."""
    if start is not None and not 0 <= start < math.inf:
        raise UsageError(f"start must be a time in seconds from 0 on, and is {start:g}")
    if end is not None and not math.isfinite(end):
        raise UsageError(f"end must be a time in seconds, and is {end:g}; leave it out for the rest")
    if end is not None and end <= (start or 0):
        raise UsageError(f"the part from {start or 0:g} s to {end:g} s is empty; end must come after start")


def _check_track(track: TrackChoice | None) -> None:
    if isinstance(track, int) and track < 1:
        raise UsageError(f"tracks are counted from 1, and track is {track}")


def _size_on_disk(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # another process may be renewing the cache
            total += path.stat().st_size if path.is_file() else 0
    return total
