"""The vector spaces of a library: an encoder's revision each, and the store that keeps its vectors.

Which encoders a library has is in its catalog, by what they are loaded by; so is where it keeps vectors, for
all of them in one place. A store is imported when it is opened, and what runs models when one is loaded: for
most searches that is one and none.
"""

from __future__ import annotations

import os
import shlex
import threading
import zlib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from echoic.buckets import stamp_of
from echoic.encoders.registry import (
    DEFAULT_ENCODERS,
    bundled_for,
    checked_encoder,
    load_encoder,
    spell_out,
)
from echoic.errors import (
    EchoicError,
    LibraryError,
    StoreError,
    UnknownEncoderError,
    UsageError,
    quoted,
    shell_word,
)
from echoic.machine import n_cores
from echoic.spec import EncoderSpec, Purpose
from echoic.storage.catalog import Catalog
from echoic.storage.vectors.names import without_password
from echoic.storage.vectors.trusted import TOKEN_VARIABLE, is_trusted, trust
from echoic.types import Segments
from echoic.untrusted import is_text

if TYPE_CHECKING:
    from echoic.encoders.base import Encoder
    from echoic.storage.vectors.base import VectorStore
    from echoic.storage.vectors.milvus import MilvusStore

__all__ = ["EMBEDDED", "INDEX", "Spaces"]

#: Names the store beside the catalog.
EMBEDDED = "embedded"
#: The folder within a library's of what can be made anew.
INDEX = "index"

# What serves a purpose that no bundled encoder does.
_OF_OTHERS = {"phrases": "phonemes", "spoken": "spoken", "voices": "voice", "occurrences": "events"}
# What encoders know that compare no sounds, and how it is asked for.
_KNOWS = {
    "phrases": ("what is said", "--phrase"),
    "spoken": ("what is said", "--phrase"),
    "voices": ("who speaks", "--voice"),
    "occurrences": ("where something is heard", "--every"),
}
_OF_PICTURES = "pe-av"
_PATIENCE = 600.0  # s that another process may take to bring a library's vectors up to date


class Spaces:
    """Opens a library's encoders and stores when first needed, and keeps them open for all threads."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._chosen_uri: str | None = None  # until it has been reached
        self._stack = ExitStack()
        self._opening = threading.RLock()
        self._stores: dict[str, VectorStore] = {}
        self._encoders: dict[str, Encoder] = {}
        self._installed: dict[str, EncoderSpec] = {}

    @property
    def uri(self) -> str:
        """Where the vectors are; asked anew each time, as another process may have made the library."""
        return self._chosen_uri or self._catalog.setting("store") or EMBEDDED

    def close(self) -> None:
        """Release the stores' files and connections."""
        with self._opening:
            self._stack.close()
            self._stores.clear()

    def settle_store(self, uri: str | None) -> None:
        """Choose where the vectors are kept, which can be changed for as long as there are none.

        Raises
        ------
        UsageError
            If there are some, the address holds a password, or they cannot lie beside the catalog.
        """
        if (uri or self.uri) == EMBEDDED and not self._catalog.holds_vectors:
            raise UsageError(
                f"a library whose catalog is at {quoted(self._catalog.place)} keeps its vectors on a server, "
                "too: give that of a Milvus, as in --store http://HOST:19530"
            )
        if uri is None:
            return
        if uri != EMBEDDED and "://" not in uri:
            uri = _kept(os.path.abspath(uri))
        elif "@" in uri.partition("://")[2].partition("/")[0]:
            raise UsageError(
                "leave name and password out of the store's address, where they would be kept and shown; "
                "put them into $ECHOIC_MILVUS_TOKEN as NAME:PASSWORD"
            )
        if uri != self.uri and self._catalog.count():
            raise UsageError(
                f"the library {self._catalog.folder} keeps its vectors in {self.uri}; "
                "leave --store out, or start another library with --library"
            )
        if uri != self.uri:
            self.close()
        self._chosen_uri = uri

    def settle_encoders(self, names: Sequence[str]) -> list[str]:
        """Have a space for each encoder of a run, all of the library's if none is named; return their keys.

        The store is remembered once it has been reached.

        Raises
        ------
        EncoderError, UnknownEncoderError
            If an encoder cannot be loaded or is not there.
        UsageError
            If two would have one name.
        StoreError
            If the store cannot be reached.
        """
        catalog = self._catalog
        sources = [_kept(spell_out(name)) for name in names] or list(catalog.encoders()) or DEFAULT_ENCODERS
        specs = {source: checked_encoder(source).spec for source in dict.fromkeys(sources)}
        known = [spec.name for spec in (self._not_moved(specs) | specs).values()]
        twice = {name for name in known if known.count(name) > 1}
        if twice:
            name = twice.pop()
            raise UsageError(
                f"two encoders are named {name!r}; export one of them under another --name, "
                f"or forget the one that the library has: echoic remove --encoder {name!r}"
            )
        for spec in specs.values():
            self.store(spec)
        self._remember_server()
        with catalog.transaction():
            catalog.set_setting("store", self.uri)
            self._chosen_uri = None
            for source, spec in specs.items():
                catalog.add_encoder(spec, source)
        return [spec.key for spec in specs.values()]

    def _not_moved(self, specs: Mapping[str, EncoderSpec]) -> dict[str, EncoderSpec]:
        """Return the library's encoders, without models that are gone and in ``specs`` at another path."""
        keys = {spec.key for spec in specs.values()}
        return {
            source: spec
            for source, spec in self._catalog.encoders().items()
            if spec.key not in keys or not source.endswith(".onnx") or os.path.lexists(source)
        }

    def stores(self) -> dict[str, VectorStore]:
        """Open the stores of all spaces, those of superseded revisions too, by key."""
        specs = [*self._catalog.encoders().values(), *self._catalog.superseded()]
        return {spec.key: self.store(spec) for spec in specs}

    def store(self, spec: EncoderSpec) -> VectorStore:
        """Open the store of a space.

        Raises
        ------
        StoreError
            If it cannot be reached, or its file is gone.
        """
        with self._opening:
            if spec.key not in self._stores:
                self._stores[spec.key] = self._opened(spec)
                self._stack.callback(self._stores[spec.key].close)
            return self._stores[spec.key]

    def _opened(self, spec: EncoderSpec) -> VectorStore:
        catalog = self._catalog
        if "phrases" in spec.purposes:
            from echoic.storage.frames import SymbolStore

            return SymbolStore(lambda: catalog.connection, spec.key, spec.dim)
        if "spoken" in spec.purposes:
            from echoic.storage.frames import SpokenStore

            return SpokenStore(lambda: catalog.connection, spec.key, spec.dim)
        if "occurrences" in spec.purposes:
            from echoic.storage.events import EventStore

            return EventStore(lambda: catalog.connection, spec.key, spec.dim)
        if self.uri == EMBEDDED:
            from echoic.storage.vectors.embedded import EmbeddedStore

            folder = catalog.folder / INDEX
            return EmbeddedStore(lambda: catalog.connection, spec.key, spec.dim, folder, spec.storage)
        if "://" not in self.uri and catalog.count() and not Path(self.uri).exists():
            raise StoreError(
                f"the vectors of the library {catalog.folder} are gone from {self.uri}; put the file back, "
                "or start another library with --library"
            )
        from echoic.storage.vectors.milvus import MilvusStore

        store = MilvusStore(self.uri, f"{self._identity}_{spec.key}", spec.dim, self._token())
        if catalog.earlier_spans(spec.key):
            self._bring_spans(store, spec.key)
        return store

    def _bring_spans(self, store: MilvusStore, key: str) -> None:
        """Put the times that an older Echoic kept in the catalog beside their vectors, once."""
        from echoic.storage.vectors.times import unpack_times

        catalog = self._catalog
        try:
            # Where another process is at it, this one waits and finds it done.
            with catalog.writing(patience=_PATIENCE):
                store.take_over(
                    (file_id, unpack_times(starts), unpack_times(ends))
                    for file_id, starts, ends, checksum in catalog.earlier_spans(key)
                    if zlib.crc32(starts + ends) == checksum  # else the file has to be indexed again
                )
                with catalog.transaction():
                    catalog.forget_earlier_spans(key)
        except BaseException:
            store.close()
            raise

    @property
    def _identity(self) -> str:
        return self._catalog.setting("identity") or ""

    def _token(self) -> str:
        """Return the token, if there is one, for a server that a person chose; who has none shows none."""
        token = os.environ.get(TOKEN_VARIABLE, "")
        if not token or "://" not in self.uri or self.uri == self._chosen_uri:
            return token
        if not is_trusted(self._identity, self.uri):
            # Quoted for a shell: the address may have been made up to be copied there.
            address = shlex.quote(without_password(self.uri))
            raise StoreError(
                f"the library {quoted(self._catalog.folder)} keeps its vectors at {quoted(address)}, which "
                f"was not chosen here and does not get ${TOKEN_VARIABLE}; if you trust that server, "
                f"choose it once: echoic index PATH --store {quoted(address)}"
            )
        return token

    def _remember_server(self) -> None:
        if self._chosen_uri is None or "://" not in self._chosen_uri:
            return
        try:
            trust(self._identity, self._chosen_uri)
        except OSError as error:
            if os.environ.get(TOKEN_VARIABLE):  # without a token nothing was entrusted to the server
                raise StoreError(
                    f"that {self._chosen_uri} was chosen cannot be noted ({error}); "
                    "make your folder for settings writable"
                ) from error

    def chosen(
        self, name: str | None, purpose: Purpose = "sounds", *, takes: str = "audio"
    ) -> tuple[str, EncoderSpec]:
        """Find the space to search in: what its encoder is loaded by, and what it is.

        Parameters
        ----------
        name : str, optional
            Of the encoder, or the path of its model; by default the library's first that serves the purpose,
            those that are bundled before others.
        purpose : Purpose
            What is asked for. What sounds alike, any encoder can be asked for.
        takes : {"audio", "text", "picture"}
            What it is asked by.

        Raises
        ------
        LibraryError
            If the library is empty.
        UnknownEncoderError
            If the library has no such encoder.
        UsageError
            If the encoder, or each of the library's, does not take what it is asked by.
        """
        specs = self._catalog.encoders()
        if not specs or self._catalog.is_empty():
            raise LibraryError(
                f"the library {self._catalog.folder} is empty; fill it with: echoic index FOLDER"
            )
        if takes != "audio":
            specs = {source: self._as_installed(source, spec) for source, spec in specs.items()}
        if name is None:
            taking = {source: spec for source, spec in specs.items() if takes in spec.inputs}
            if not taking and takes == "picture":
                raise UsageError(
                    f"no encoder of the library {self._catalog.folder} takes pictures; add one with: "
                    f"echoic models add {_OF_PICTURES}, then: echoic index FOLDER --encoder {_OF_PICTURES}"
                )
            if not taking:
                raise UsageError(
                    f"no encoder of the library {self._catalog.folder} takes {takes}; add one that does "
                    f"with: echoic index FOLDER --encoder {DEFAULT_ENCODERS[0]}"
                )
            fit = [source for source, spec in taking.items() if purpose in spec.purposes]
            # Who fetched another than the small one that ships for spoken phrases wants that one.
            fit.sort(key=lambda source: ([*DEFAULT_ENCODERS, source].index(source), source == "spoken"))
            alike = [source for source, spec in taking.items() if spec.compares_sounds]
            source = next(iter(fit or (alike if purpose == "sounds" else ())), "")
        else:
            named = (s for s, spec in specs.items() if name == spec.name or spell_out(name) == s)
            source = next(named, "")
        if source:
            if purpose == "sounds" and not specs[source].compares_sounds:
                [asked_for] = specs[source].purposes
                knows, how = _KNOWS[asked_for]
                raise UsageError(
                    f"encoder {specs[source].name} knows {knows}, not what sounds alike: search {how}"
                )
            if takes not in specs[source].inputs and takes == "picture":
                raise UsageError(
                    f"encoder {specs[source].name} takes no pictures, as {_OF_PICTURES} does; search by a "
                    "picture without naming an encoder"
                )
            if takes not in specs[source].inputs:
                raise UsageError(
                    f"encoder {specs[source].name} takes no {takes}: words fit the very space that they were "
                    f"taught, as those of {DEFAULT_ENCODERS[0]} do, and none that is trained from it; search "
                    "by example there, or in words without naming an encoder"
                )
            return source, specs[source]
        from echoic.encoders.families import how_to_get, misnamed

        wanted = name or next(iter(bundled_for(purpose)), _OF_OTHERS.get(purpose, purpose))
        if wrong := misnamed(wanted):
            raise UnknownEncoderError(wrong)
        how = how_to_get(wanted) or "if echoic encoders lists it"
        raise UnknownEncoderError(
            f"the library has no encoder {wanted!r}, only {', '.join(spec.name for spec in specs.values())}; "
            f"{how}, add it with: echoic index FOLDER --encoder {shlex.quote(wanted)}"
        )

    def _as_installed(self, source: str, spec: EncoderSpec) -> EncoderSpec:
        """Return what is installed of an encoder: it may have learnt words since the library was made."""
        installed = self._installed.get(source)
        if installed is None or installed.key != spec.key:
            try:
                installed = load_encoder(source).spec
            except EchoicError:
                return spec  # loading it to search by will say why
            if installed.key != spec.key:
                return spec
            self._installed[source] = installed  # to find it, all packages of the machine are looked through
        return installed

    def named(self, name: str) -> EncoderSpec:
        """Find an encoder of the library by its name or the path of its model; it need not be installed.

        Raises
        ------
        UnknownEncoderError
            If the library has no such encoder.
        """
        specs = self._catalog.encoders()
        for source, spec in specs.items():
            if name == spec.name or spell_out(name) == source:
                return spec
        others = f", only {', '.join(spec.name for spec in specs.values())}" if specs else ""
        raise UnknownEncoderError(f"the library has no encoder {name!r}{others}")

    def encoder(self, source: str, spec: EncoderSpec) -> Encoder:
        """Load the encoder of a space.

        Raises
        ------
        LibraryError
            If what is installed is another revision.
        """
        with self._opening:
            # The library may have been brought to a new revision since.
            if source not in self._encoders or self._encoders[source].spec.key != spec.key:
                self._encoders[source] = self._loaded(source, spec)
            return self._encoders[source]

    @staticmethod
    def _loaded(source: str, spec: EncoderSpec) -> Encoder:
        from echoic.encoders.onnx import OnnxEncoder

        loaded = load_encoder(source)
        if loaded.spec.key != spec.key:
            raise LibraryError(
                f"the library was made with {spec.key}, and {loaded.spec.key} is installed; "
                "bring it up to date with: echoic index FOLDER"
            )
        if isinstance(loaded, OnnxEncoder):
            loaded.n_threads = n_cores()  # somebody waits for this query alone
        return loaded

    def stored(self, path: Path, spec: EncoderSpec) -> Segments | None:
        """Look up the vectors of a file that is indexed as it is now; None if it is not."""
        record = self._catalog.known_at(path)
        if record is None or record.state == "failed":
            return None
        try:
            if stamp_of(path) != (record.size, record.mtime_ns):
                return None
        except OSError:
            return None  # reading it will say why
        return self.store(spec).fetch([record.id]).get(record.id)

    def drop(self, spec: EncoderSpec) -> None:
        """Forget a space with all of its vectors."""
        store = self.store(spec)
        with self._catalog.transaction():
            store.delete(store.file_ids().tolist())
            self._catalog.delete_encoder(spec.key)
        store.flush()

    def check(self) -> list[str]:
        """Compare each space with the catalog, segment for segment; return one sentence for each finding."""
        findings = []
        for source, spec in self._catalog.encoders().items():
            try:
                checked_encoder(source)
            except EchoicError as error:
                findings.append(f"{error}; bring it back, or run: echoic remove --encoder {spec.name}")
            findings += self._check_store(spec)
        return findings

    def _check_store(self, spec: EncoderSpec) -> list[str]:
        from echoic.storage.vectors.embedded import EmbeddedStore

        catalog, store = self._catalog, self.store(spec)
        due = {file_id: n for file_id, n in catalog.n_segments(spec.key) if n}
        stored = set(store.file_ids().tolist())
        findings = []
        for file_id in sorted(stored & due.keys()):
            try:
                found = store.fetch([file_id]).get(file_id)
                is_whole = found is not None and len(found) == due[file_id]
            except StoreError:  # a checksum does not fit
                is_whole = False
            if not is_whole:
                path = catalog.paths([file_id])[file_id]
                word = shell_word(path)
                findings.append(
                    f"{spec.key}: the vectors of {quoted(path)} are damaged; mend them with: "
                    f"echoic remove {word} && echoic index {word}"
                )
        missing, strangers = due.keys() - stored, stored - due.keys()
        if missing:
            findings.append(
                f"{spec.key}: the vectors of {len(missing)} files are missing; encode them with: "
                "echoic index FOLDER"
            )
        if strangers:
            findings.append(
                f"{spec.key}: the vectors of {len(strangers)} unknown files; drop them with: "
                "echoic library compact"
            )
        if isinstance(store, EmbeddedStore) and not store.is_cache_sound():
            findings.append(
                f"{spec.key}: the cache of its index is damaged; make it anew with: echoic library rebuild"
            )
        return findings


def _kept(path: str) -> str:
    """Make sure that a library can keep the name of a model or store."""
    if not is_text(path):
        raise UsageError(
            f"{quoted(path)} has a name that is no text in UTF-8; rename it, or a folder above it"
        )
    return path
