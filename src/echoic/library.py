"""The library: what a Python user imports, and all that the command line does with one.

Wiring only: it hands what is open (:mod:`echoic.opening`) to the parts that do the work.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from echoic.addresses import held, in_bucket, told
from echoic.arguments import checked
from echoic.errors import UsageError, quoted
from echoic.finding import Finder
from echoic.keeping import Keeper
from echoic.learning import Learner
from echoic.opening import Report, explained
from echoic.recognising import Recogniser
from echoic.spec import EncoderSpec
from echoic.storage.catalog import Catalog, Known
from echoic.types import FileRecord, IndexReport, StrPath, TrackChoice, Transcript

if TYPE_CHECKING:
    from echoic.heard.result import HeardSpan

__all__ = ["Library"]


class Library(Finder, Recogniser, Learner, Keeper):
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
    Its parts say what it finds (:class:`echoic.finding.Finder`), recognises
    (:class:`echoic.recognising.Recogniser`) and learns (:class:`echoic.learning.Learner`), and how it is kept
    (:class:`echoic.keeping.Keeper`). What writes raises LibraryBusyError while another thread or process is
    writing.

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
        catalog: str | None = None,
        jobs: int | None = None,
        ray: str | None = None,
        tags: Sequence[str] = (),
        track: TrackChoice | None = None,
        transcripts: bool | None = None,
        leave: Collection[Path] = (),
        max_files: int | None = None,
        progress: Report = None,
    ) -> IndexReport:
        """Bring the library up to date with files and folders, and make it if there is none.

        New and changed files are encoded, renames followed, deleted files forgotten. A file that cannot be
        read is recorded and skipped. Interrupt it whenever you like: what is done is kept, and the next call
        goes on.

        Parameters
        ----------
        paths : sequence of path
            Files, and folders that are searched to their depths; also in buckets, by addresses as in
            ``s3://BUCKET/FOLDER`` (``gs://``, ``az://``), which lets these buckets be opened from then on.
        encoders : sequence of str
            Names, or paths of ``.onnx`` models. By default those that the library has; a new library starts
            with ``sound``, ``fingerprint``, ``harmony`` and ``spectral``.
        store : str, optional
            Where a new library keeps its vectors: a Milvus URI. By default beside its catalog.
        catalog : str, optional
            Where a new library keeps its catalog: ``postgresql+psycopg://USER@HOST/DATABASE``, a database of
            its own; the password is read from ``$ECHOIC_CATALOG_PASSWORD``. It then needs a ``store``, too.
            By default in its folder.
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
        transcripts : bool, optional
            Whether files are given transcripts, too: read from subtitles beside or in them, or else made by
            Whisper, if it was added. By default as the library was told before; a new one makes none.
        leave : collection of Path
            Absolute paths of files to leave as they are known, being written at the moment, say.
        max_files : int, optional
            That the library may hold. New files beyond them are left out, which is told among what failed.

        Raises
        ------
        UnknownEncoderError, EncoderError
            If an encoder is not there or cannot be loaded.
        ClusterError
            If the Ray cluster cannot be reached.
        """
        from echoic.indexing import check_request, index

        places, is_new = [Path(path) for path in paths], not self.exists()
        _choose_buckets(places)
        check_request(places, encoders, tags, track, is_new=is_new)
        opened, spaces = self._open(create=True, catalog=catalog)
        with opened.writing(is_new=is_new):
            pool = self._opening.workers(jobs, ray)
            spaces.settle_store(store)
            required = spaces.settle_encoders(encoders)
            return index(
                places,
                opened,
                spaces,
                required,
                pool,
                tags=tags,
                track=track,
                transcripts=transcripts,
                leave=leave,
                max_files=max_files,
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

        if any(in_bucket(str(path)) for path in map(Path, paths)):
            raise UsageError("buckets tell nothing of changes; index them anew from time to time")
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
        record = self._record(catalog, file)
        return [
            HeardSpan(record.path, start, end, label, probability)
            for label, start, end, probability in catalog.heard_in(record.id)
        ]

    @explained
    @checked
    def transcript(self, file: StrPath) -> Transcript | None:
        """Return what is said in a file of the library, word for word; None where it has no transcript.

        Raises
        ------
        UsageError
            If the file is not in the library.
        """
        from echoic.storage.transcripts import Transcripts

        catalog = self._open()[0]
        return Transcripts(catalog).of(self._record(catalog, file).id)

    @staticmethod
    def _record(catalog: Catalog, file: StrPath) -> Known:
        record = catalog.known_at(Path(file))
        if record is None:
            raise UsageError(f"{quoted(file)} is not in the library; add it with: echoic index PATH")
        return record

    @explained
    def encoders(self) -> dict[str, EncoderSpec]:
        """Return the library's encoders, by the name or path that they are loaded by."""
        return self._open()[0].encoders()


def _choose_buckets(paths: Sequence[Path]) -> None:
    """Note for good that a person chose the buckets that some paths lie in."""
    from echoic.buckets import choose

    for path in paths:
        if in_bucket(os.path.abspath(held(str(path)))):  # what ".." leads out of is not meant
            try:
                choose(path, for_good=True)
            except OSError as error:
                raise UsageError(
                    f"that {told(str(path))} was chosen cannot be noted ({error.strerror}); make your folder "
                    "for settings writable"
                ) from error
