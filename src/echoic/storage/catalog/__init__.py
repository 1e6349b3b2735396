"""The catalog: what a library knows about its files, in one database: SQLite's, or PostgreSQL's.

It is the truth from which every index can be rebuilt. Vectors of the embedded store lie in the same SQLite
database and are written in the same transaction as the file's row, so a kill at any instant leaves either
the whole file or none of it. Readers never block, and are never blocked.
"""

from echoic.storage.catalog.catalog import Catalog, HeardSpans, Known
from echoic.storage.catalog.conditions import parse_tag
from echoic.storage.catalog.database import SEAL
from echoic.storage.catalog.engine import Connection
from echoic.storage.catalog.schema import unusable
from echoic.storage.catalog.sqlite import FILE

__all__ = ["FILE", "SEAL", "Catalog", "Connection", "HeardSpans", "Known", "parse_tag", "unusable"]
