"""The store for what outgrows one machine's folder: Milvus, by URI.

``./vectors.db`` is Milvus Lite in this process, ``http://host:19530`` a server, ``https://…`` Zilliz Cloud.
Whoever opens one decides whether the server is to get a token; here it is never shown.

Milvus has no transactions. Rows have keys made of file and segment, so a replacement that was cut off half
way is made whole by doing it again; a caller records a file as stored only after ``replace`` returned.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence, Set
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt

from echoic.errors import MissingDependencyError, StoreError, UsageError
from echoic.stores.base import checked
from echoic.stores.names import unique_name, without_password
from echoic.stores.trusted import TOKEN_VARIABLE
from echoic.types import Float32, Neighbor

__all__ = ["MilvusStore"]

_SEGMENT_BITS = 24  # of the key: 16.7 million segments a file, 5e11 files
_MOST_RESULTS = 16_384  # Milvus's limit on the results of one query, and on k
_BATCH_BYTES = 4 << 20  # of vectors in one message; servers take 64 MB, serverless ones less
_IDS_AT_ONCE = 8_192  # in one filter expression
_RESULTS_AT_ONCE = 100_000  # neighbours in one answer
_FEW_SEGMENTS = 2_000  # up to here a filter is answered by fetching the vectors: exact, and 2 MB at dim 256
_SLACK = 16  # neighbours beyond k, so that the order among equals is ours
_ROUNDING = 1e-6  # differences of score below this are none
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
        self._name = unique_name(f"echoic {collection}")
        self._token = token
        self._lite = str(Path(uri).absolute()) if uri.endswith(".db") and "://" not in uri else None
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
            schema.add_field("vector", DataType.FLOAT_VECTOR, dim=self.dim)
            index = MilvusClient.prepare_index_params()
            # Lite's other indexes take minutes to build for what a laptop holds, and lose neighbours.
            index.add_index("vector", index_type="FLAT" if self._lite else "AUTOINDEX", metric_type="COSINE")
            self._call("create_collection", schema=schema, index_params=index, consistency_level="Strong")
        self._call("load_collection", timeout=_LOAD_TIMEOUT)

    # Writing

    def replace(self, file_id: int, vectors: Float32) -> None:
        array = checked(vectors, self.dim)
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
                    "vector": v,
                }
                for segment, v in enumerate(array[at : at + step], start=at)
            ]
            self._call("upsert", data=rows)
        self._call("delete", filter=f"file_id == {file_id} and segment >= {len(array)}")

    def delete(self, file_ids: Sequence[int]) -> None:
        for condition in _conditions(file_ids):
            self._call("delete", filter=condition)

    # Reading

    def search(self, queries: Float32, k: int, *, within: Set[int] | None = None) -> list[list[Neighbor]]:
        queries = checked(queries, self.dim)
        if k < 1:
            raise StoreError(f"{k} neighbours cannot be found; ask for at least 1")
        if not len(queries):
            return []
        conditions = [""] if within is None else _conditions(sorted(within))
        found: list[list[Neighbor]] = [[] for _ in queries]
        if within is not None and sum(self._count(c) for c in conditions) <= _FEW_SEGMENTS:
            parts = (_scored(queries, self._rows(c, ["id", "vector"])) for c in conditions)
        elif k > _MOST_RESULTS:
            pages = (page for c in conditions for page in self._pages(c, ["id", "vector"]))
            parts = (_scored(queries, page) for page in pages)
        else:
            parts = (self._nearest(queries, k, c) for c in conditions)
        for part in parts:
            for so_far, more in zip(found, part, strict=True):
                so_far.extend(more)
                so_far.sort(key=lambda n: -n.score)
                del so_far[k + _SLACK :]
        return [_ranked(neighbours)[:k] for neighbours in found]

    def _nearest(self, queries: Float32, k: int, condition: str) -> list[list[Neighbor]]:
        limit = min(k + _SLACK, _MOST_RESULTS)
        step = max(1, _RESULTS_AT_ONCE // limit)
        found: list[list[Neighbor]] = []
        for at in range(0, len(queries), step):
            answers = self._call(
                "search",
                data=list(queries[at : at + step]),
                anns_field="vector",
                filter=condition,
                limit=limit,
                search_params={"metric_type": "COSINE"},
            )
            found.extend([_neighbor(hit["id"], hit["distance"]) for hit in hits] for hits in answers)
        return found

    def vectors(self, file_id: int) -> Float32:
        rows: list[dict[str, Any]] = []
        step = min(_MOST_RESULTS, self._rows_per_message())
        while len(rows) % step == 0:
            span = f"segment >= {len(rows)} and segment < {len(rows) + step}"
            page = self._rows(f"file_id == {int(file_id)} and {span}", ["segment", "vector"])
            if not page:
                break
            rows.extend(sorted(page, key=lambda row: int(row["segment"])))
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

    def _pages(self, condition: str, fields: list[str]) -> Iterator[list[dict[str, Any]]]:
        """Read all rows that fulfil a condition; one query would stop at 16,384."""
        pages = self._call(
            "query_iterator",
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
        return self._asked(
            lambda: function(collection_name=self._name, timeout=timeout, **arguments),
            self._failed(method.replace("_", " ")),
        )

    def _failed(self, action: str) -> str:
        return f"Milvus at {self._where} did not answer as it should ({action}, collection {self.collection})"

    def _asked(self, request: Callable[[], Any], failure: str) -> Any:
        """Make a request; what goes wrong becomes a StoreError of one line, in which no secret is left."""
        import grpc
        import pymilvus

        try:
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


def _scored(queries: Float32, rows: list[dict[str, Any]]) -> list[list[Neighbor]]:
    """Score fetched rows, of ``id`` and ``vector``, here."""
    if not rows:
        return [[] for _ in queries]
    scores = np.einsum("qd,nd->qn", queries, np.array([row["vector"] for row in rows], np.float32))
    return [
        [_neighbor(row["id"], score) for row, score in zip(rows, line, strict=True)]
        for line in scores.tolist()
    ]


def _ranked(neighbors: list[Neighbor]) -> list[Neighbor]:
    """Order what is sorted by score by file and segment too, among equals."""
    scores = np.array([n.score for n in neighbors])
    # Equal vectors in different batches get scores that differ in the last digit.
    place = np.cumsum(np.diff(scores, prepend=scores[:1]) < -_ROUNDING)
    return [n for _, n in sorted(zip(place, neighbors, strict=True), key=lambda pair: _rank(*pair))]


def _rank(place: int, neighbor: Neighbor) -> tuple[int, int, int]:
    return place, neighbor.file_id, neighbor.segment


def _neighbor(key: int, score: float) -> Neighbor:
    return Neighbor(key >> _SEGMENT_BITS, key & (1 << _SEGMENT_BITS) - 1, float(score))
