"""Where segments are kept and searched: one protocol, a store in memory, an embedded one and Milvus.

Each store is imported from its own module, so that a search loads the one that its library has.
"""

from __future__ import annotations

import logging

# Who wants to know configures logging; else Python would print warnings, and a library does not print.
logging.getLogger(__name__).addHandler(logging.NullHandler())
