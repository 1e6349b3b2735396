"""The store for what outgrows one machine's folder: Milvus, by URI.

``./vectors.db`` is Milvus Lite in this process, ``http://host:19530`` a server, ``https://…`` Zilliz Cloud.
Whoever opens one decides whether the server is to get a token; here it is never shown.

A row is a segment: its vector and its span. Milvus has no transactions. Rows have keys made of file and
segment, so a replacement that was cut off half way is made whole by doing it again; a caller records a file
as stored only after ``replace`` returned.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt

from echoic.errors import MissingDependencyError, StoreError, UsageError
from echoic.storage.vectors.base import checked, checked_queries
from echoic.storage.vectors.names import unique_name, without_password
from echoic.storage.vectors.neighbours import Neighbours
from echoic.storage.vectors.trusted import TOKEN_VARIABLE
from echoic.types import Float32, Segments

__all__ = ["MilvusStore"]

Float64 = npt.NDArray[np.float64]

_SEGMENT_BITS = 24  # of the key: 16.7 million segments a file, 5e11 files
_MOST_RESULTS = 16_384  # Milvus's limit on the results of one query, and on k
_BATCH_BYTES = 4 << 20  # of vectors in one message; servers take 64 MB, serverless ones less
_IDS_AT_ONCE = 8_192  # in one filter expression
_RESULTS_AT_ONCE = 100_000  # neighbours in one answer
_FEW_SEGMENTS = 2_000  # up to here a filter is answered by fetching the vectors: exact, and 2 MB at dim 256
_SLACK = 16  # neighbours beyond k, so that the order among equals is ours
_ROUNDING = 1e-6  # differences of score below this are none
_SPAN = ["start", "end"]
_CONNECT_TIMEOUT = 5.0  # s
_TIMEOUT = 60.0  # s for one request
_LOAD_TIMEOUT = 600.0  # s; a server may have to fetch a large collection from its object storage

# Collections of one Lite file share one server inside this process; the last to close stops it.
_lite_users: Counter[str] = Counter()
_lite_lock = threading.Lock()


class MilvusStore:
    """A collection of vectors in Milvus.

    Parameters
    ----------
    uri : str
        A path that ends in ``.db``, or ``http://`` or ``https://`` with host and port.
    collection : str
        Any string; the name on the server is made from it and differs for different strings.
    dim : int
        Length of the vectors.
    token : str
        Sent to the server; Zilliz Cloud and servers with accounts want one.

    Raises
    ------
    StoreError
        If the server cannot be reached or refuses the token, the Lite file is in use by another process,
        or the collection holds vectors of another dimension.
    MissingDependencyError
        If pymilvus is not installed.
    """

    joins_transactions = False

    def __init__(self, uri: str, collection: str, dim: int, token: str = "") -> None:
        self.dim = dim
        self.collection = collection
        self._name = unique_name(f"echoic segments {collection}")
        self._earlier_name = unique_name(f"echoic {collection}")  # before rows had their spans
        self._token = token
        self._lite = str(Path(uri).absolute()) if uri.endswith(".db") and "://" not in uri else None
        # Lite may pass over rows that are there while another thread of this process has it write.
        self._alone: AbstractContextManager[object] = threading.RLock() if self._lite else nullcontext()
        self._where = without_password(uri)
        self._secrets = [s for s in (self._token, urlsplit(uri).password if not self._lite else None) if s]
        self._client = self._connect(uri)
        try:
            self._open_collection()
        except BaseException:
            self.close()
            raise

    def _connect(self, uri: str) -> Any:
        try:
            import pymilvus

            if self._lite:
                import milvus_lite  # noqa: F401
        except ImportError as error:
            raise MissingDependencyError("Milvus", "milvus") from error
        logging.getLogger("pymilvus.client.iterator.query_iterator").addFilter(_is_not_about_lite)
        if self._lite is None:
            if urlsplit(uri).scheme not in ("http", "https"):
                raise UsageError(
                    f"{self._where} is no Milvus address; give a path ending in .db, or http(s)://…"
                )
            return self._asked(
                lambda: pymilvus.MilvusClient(
                    uri, token=self._token, timeout=_CONNECT_TIMEOUT, dedicated=True
                ),
                f"Milvus at {self._where} cannot be reached; check the address, that it runs, and"
                f" ${TOKEN_VARIABLE}",
            )
        logging.getLogger("milvus_lite.server_manager").addFilter(_is_no_error)
        Path(self._lite).parent.mkdir(parents=True, exist_ok=True)
        with _lite_lock:
            client = self._asked(
                lambda: pymilvus.MilvusClient(self._lite, timeout=_CONNECT_TIMEOUT, dedicated=True),
                f"{self._where} cannot be opened; another process may be using it",
            )
            _lite_users[self._lite] += 1
        return client

    def _open_collection(self) -> None:
        from pymilvus import DataType, MilvusClient

        if self._call("has_collection", timeout=_CONNECT_TIMEOUT):
            fields = self._call("describe_collection")["fields"]
            [stored] = [f["params"]["dim"] for f in fields if f["name"] == "vector"]
            if int(stored) != self.dim:
                raise StoreError(
                    f"collection {self.collection} at {self._where} holds vectors of dimension {stored},"
                    f" not {self.dim}"
                )
        else:
            schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
            schema.add_field("id", DataType.INT64, is_primary=True)
            schema.add_field("file_id", DataType.INT64)
            schema.add_field("segment", DataType.INT64)
            for field in _SPAN:
                schema.add_field(field, DataType.DOUBLE)
            schema.add_field("vector", DataType.FLOAT_VECTOR, dim=self.dim)
            index = MilvusClient.prepare_index_params()
            # Lite's other indexes take minutes to build for what a laptop holds, and lose neighbours.
            index.add_index("vector", index_type="FLAT" if self._lite else "AUTOINDEX", metric_type="COSINE")
            self._call("create_collection", schema=schema, index_params=index, consistency_level="Strong")
        self._call("load_collection", timeout=_LOAD_TIMEOUT)

    # Writing

    def replace(self, file_id: int, segments: Segments) -> None:
        segments = checked(segments, self.dim)
        array, starts, ends = segments.vectors, segments.starts.tolist(), segments.ends.tolist()
        file_id = int(file_id)
        if not 0 <= file_id < 1 << (63 - _SEGMENT_BITS) or len(array) > 1 << _SEGMENT_BITS:
            raise StoreError(
                f"file {file_id} with {len(array)} segments is beyond what a Milvus key can count"
            )
        step = self._rows_per_message()
        for at in range(0, len(array), step):
            rows = [
                {
                    "id": file_id << _SEGMENT_BITS | segment,
                    "file_id": file_id,
                    "segment": segment,
                    "start": starts[segment],
                    "end": ends[segment],
                    "vector": v,
                }
                for segment, v in enumerate(array[at : at + step], start=at)
            ]
            self._call("upsert", data=rows)
        self._call("delete", filter=f"file_id == {file_id} and segment >= {len(array)}")

    def delete(self, file_ids: Sequence[int]) -> None:
        for condition in _conditions(file_ids):
            self._call("delete", filter=condition)

    def take_over(self, spans: Iterable[tuple[int, Float64, Float64]]) -> None:
        """Bring over the vectors that an older Echoic kept without their spans, and drop its collection.

        A file that has other vectors than spans is left out; a run that was cut off is made whole by another.

        Parameters
        ----------
        spans : iterable of (file_id, starts, ends)
            Of each file, in seconds.
        """
        if not self._call("has_collection", collection_name=self._earlier_name):
            return
        self._call("load_collection", collection_name=self._earlier_name, timeout=_LOAD_TIMEOUT)
        for file_id, starts, ends in spans:
            rows = self._rows_of([file_id], [], self._earlier_name)
            if rows and len(rows) == len(starts):
                self.replace(file_id, Segments(starts, ends, self._vectors(rows)))
        self.flush()
        self._call("drop_collection", collection_name=self._earlier_name)

    # Reading

    def search(self, queries: Float32, k: int, *, within: Set[int] | None = None) -> Neighbours:
        queries = checked_queries(queries, self.dim, k)
        if not len(queries):
            return Neighbours.none(0)
        conditions = [""] if within is None else _conditions(sorted(within))
        fields = ["id", *_SPAN, "vector"]
        if within is not None and sum(self._count(c) for c in conditions) <= _FEW_SEGMENTS:
            parts = (_scored(queries, self._rows(c, fields)) for c in conditions)
        elif k > _MOST_RESULTS:
            parts = (_scored(queries, page) for c in conditions for page in self._pages(c, fields))
        else:
            parts = (self._nearest(queries, k, c) for c in conditions)
        found = Neighbours.none(len(queries))
        for part in parts:
            found = Neighbours.best([found, part], k + _SLACK)
        return _ranked(found).first(k)

    def _nearest(self, queries: Float32, k: int, condition: str) -> Neighbours:
        limit = min(k + _SLACK, _MOST_RESULTS)
        step = max(1, _RESULTS_AT_ONCE // limit)
        found: list[Neighbours] = []
        for at in range(0, len(queries), step):
            answers = self._call(
                "search",
                data=list(queries[at : at + step]),
                anns_field="vector",
                filter=condition,
                limit=limit,
                output_fields=_SPAN,
                search_params={"metric_type": "COSINE"},
            )
            for hits in answers:
                scores = np.array([hit["distance"] for hit in hits], np.float32)
                rows = [{"id": hit["id"], **hit["entity"]} for hit in hits]
                found.append(_neighbours(rows, scores[None]))
        return Neighbours.stacked(found)

    def fetch(self, file_ids: Sequence[int]) -> dict[int, Segments]:
        rows = self._rows_of(file_ids, _SPAN)
        owners = np.array([row["file_id"] for row in rows], np.int64)
        starts, ends = (np.array([row[field] for row in rows], np.float64) for field in _SPAN)
        vectors = self._vectors(rows)
        found = {}
        for file_id in np.unique(owners).tolist():
            mine = slice(*np.searchsorted(owners, [file_id, file_id + 1]).tolist())
            found[file_id] = Segments(starts[mine], ends[mine], vectors[mine])
        return found

    def _rows_of(self, file_ids: Sequence[int], fields: list[str], name: str = "") -> list[dict[str, Any]]:
        """Read all rows of files with their vectors, in order of file and segment."""
        fields = ["id", "file_id", *fields, "vector"]
        pages = (page for c in _conditions(file_ids) for page in self._pages(c, fields, name))
        return sorted((row for page in pages for row in page), key=lambda row: int(row["id"]))

    def _vectors(self, rows: list[dict[str, Any]]) -> Float32:
        return np.array([row["vector"] for row in rows], np.float32).reshape(-1, self.dim)

    def file_ids(self) -> npt.NDArray[np.int64]:
        pages = self._pages("segment == 0", ["file_id"])
        return np.sort(np.array([row["file_id"] for page in pages for row in page], np.int64))

    def __len__(self) -> int:
        return self._count("")

    def _count(self, condition: str) -> int:
        [row] = self._call("query", filter=condition, output_fields=["count(*)"])
        return int(row["count(*)"])

    def _rows(self, condition: str, fields: list[str]) -> list[dict[str, Any]]:
        """Read the rows that fulfil a condition; at most 16,384."""
        rows: list[dict[str, Any]] = self._call(
            "query", filter=condition, output_fields=fields, limit=_MOST_RESULTS
        )
        return rows

    def _pages(self, condition: str, fields: list[str], name: str = "") -> Iterator[list[dict[str, Any]]]:
        """Read all rows that fulfil a condition; one query would stop at 16,384."""
        with self._alone:
            pages = self._call(
                "query_iterator",
                collection_name=name or self._name,
                filter=condition,
                output_fields=fields,
                batch_size=min(_MOST_RESULTS, self._rows_per_message()),
            )
            try:
                while page := self._asked(pages.next, self._failed("reading")):
                    yield page
            finally:
                pages.close()

    def flush(self) -> None:
        self._call("flush")

    def close(self) -> None:
        client, self._client = self._client, None
        if client is None:
            return
        client.close()
        if self._lite:
            from milvus_lite.server_manager import server_manager_instance

            with _lite_lock:
                _lite_users[self._lite] -= 1
                if not _lite_users[self._lite]:
                    # Closing the client leaves the server running and the file locked.
                    server_manager_instance.release_server(self._lite)

    def _rows_per_message(self) -> int:
        return max(1, _BATCH_BYTES // (4 * self.dim + 64))

    def _call(self, method: str, *, timeout: float = _TIMEOUT, **arguments: Any) -> Any:
        if self._client is None:
            raise StoreError(f"collection {self.collection} at {self._where} was closed; open it again")
        function = getattr(self._client, method)
        arguments = {"collection_name": self._name, "timeout": timeout} | arguments
        return self._asked(
            lambda: function(**arguments),
            self._failed(method.replace("_", " ")),
        )

    def _failed(self, action: str) -> str:
        return f"Milvus at {self._where} did not answer as it should ({action}, collection {self.collection})"

    def _asked(self, request: Callable[[], Any], failure: str) -> Any:
        """Make a request; what goes wrong becomes a StoreError of one line, in which no secret is left."""
        import grpc
        import pymilvus

        try:
            with self._alone:
                return request()
        except (
            pymilvus.MilvusException,
            grpc.RpcError,
            grpc.FutureTimeoutError,
            OSError,
            ValueError,
        ) as error:
            reason = " ".join(str(getattr(error, "message", error)).split())[:300]
            for secret in self._secrets:
                reason = reason.replace(secret, "***")
            # Without the cause: its text and arguments may hold the token.
            raise StoreError(f"{failure}: {reason}") from None


def _is_not_about_lite(record: logging.LogRecord) -> bool:
    # Lite has no time stamps for its reads, which pymilvus would report at every listing.
    return "mvccTs" not in record.getMessage()


def _is_no_error(record: logging.LogRecord) -> bool:
    # Lite logs a traceback where it cannot open a file; the StoreError says it.
    return record.levelno < logging.ERROR


def _conditions(file_ids: Sequence[int]) -> list[str]:
    ids = [int(i) for i in file_ids]
    return [
        f"file_id in [{','.join(map(str, ids[at : at + _IDS_AT_ONCE]))}]"
        for at in range(0, len(ids), _IDS_AT_ONCE)
    ]


def _scored(queries: Float32, rows: list[dict[str, Any]]) -> Neighbours:
    """Score fetched rows, of ``id``, span and ``vector``, here."""
    if not rows:
        return Neighbours.none(len(queries))
    scores = np.einsum("qd,nd->qn", queries, np.array([row["vector"] for row in rows], np.float32))
    return Neighbours.best([Neighbours.none(len(queries)), _neighbours(rows, scores)], len(rows))


def _neighbours(rows: list[dict[str, Any]], scores: Float32) -> Neighbours:
    """Make neighbours of rows, the same for each query, and their scores, shape (queries, rows)."""
    keys = np.array([row["id"] for row in rows], np.int64)
    starts, ends = (np.array([row[field] for row in rows], np.float64) for field in _SPAN)
    columns = keys >> _SEGMENT_BITS, keys & (1 << _SEGMENT_BITS) - 1, starts, ends
    file_ids, segments, starts, ends = (np.broadcast_to(column, scores.shape) for column in columns)
    return Neighbours(file_ids, segments, starts, ends, scores)


def _ranked(found: Neighbours) -> Neighbours:
    """Order what is sorted by score by file and segment too, among equals."""
    # Equal vectors in different batches get scores that differ in the last digit.
    with np.errstate(invalid="ignore"):  # where rows are filled up
        steps = np.diff(found.scores, axis=1, prepend=found.scores[:, :1]) < -_ROUNDING
    return found.taken(np.lexsort((found.segments, found.file_ids, np.cumsum(steps, axis=1)), axis=1))
