"""Where vectors are kept and searched: one protocol, an embedded store and Milvus."""

from __future__ import annotations

import logging

from echoic.stores.base import VectorStore
from echoic.stores.embedded import EmbeddedStore
from echoic.stores.milvus import MilvusStore

__all__ = ["EmbeddedStore", "MilvusStore", "VectorStore"]

# Who wants to know configures logging; else Python would print warnings, and a library does not print.
logging.getLogger(__name__).addHandler(logging.NullHandler())
