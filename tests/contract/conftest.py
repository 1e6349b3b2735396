"""Every kind of vector store in turn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.contract.places import Place, embedded_place, memory_place, milvus_place
from tests.milvus_server import need_milvus


@pytest.fixture(scope="session")
def lite_path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One Lite file for all tests, each with collections of its own: opening one takes a second."""
    need_milvus()
    return str(tmp_path_factory.mktemp("lite") / "vectors.db")


@pytest.fixture(params=["memory", "embedded float32", "embedded int8", "lite", "server"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Each kind of store in turn."""
    with ExitStack() as stack:
        kind, _, precision = request.param.partition(" ")
        if kind == "memory":
            yield memory_place(stack)
        elif kind == "embedded":
            yield embedded_place(tmp_path, stack, precision)
        else:
            fixture = "lite_path" if request.param == "lite" else "milvus_server"
            yield milvus_place(request.param, request.getfixturevalue(fixture), stack)
