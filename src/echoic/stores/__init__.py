"""Where segments are kept and searched: one protocol, a store in memory, an embedded one and Milvus."""

from __future__ import annotations

import logging

from echoic.stores.base import VectorStore
from echoic.stores.embedded import EmbeddedStore
from echoic.stores.memory import MemoryStore
from echoic.stores.milvus import MilvusStore
from echoic.stores.neighbours import Neighbours

__all__ = ["EmbeddedStore", "MemoryStore", "MilvusStore", "Neighbours", "VectorStore"]

# Who wants to know configures logging; else Python would print warnings, and a library does not print.
logging.getLogger(__name__).addHandler(logging.NullHandler())
