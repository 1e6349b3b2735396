"""Where segments are kept and searched: one protocol, a store in memory, an embedded one and Milvus."""

from __future__ import annotations

import logging

from echoic.storage.vectors.base import VectorStore
from echoic.storage.vectors.embedded import EmbeddedStore
from echoic.storage.vectors.memory import MemoryStore
from echoic.storage.vectors.milvus import MilvusStore
from echoic.storage.vectors.neighbours import Neighbours

__all__ = ["EmbeddedStore", "MemoryStore", "MilvusStore", "Neighbours", "VectorStore"]

# Who wants to know configures logging; else Python would print warnings, and a library does not print.
logging.getLogger(__name__).addHandler(logging.NullHandler())
