"""A real Milvus server for the tests, in a process of its own and reached over TCP."""

from __future__ import annotations

import base64
import importlib.util
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent import futures
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

_MISSING = [name for name in ("pymilvus", "milvus_lite") if importlib.util.find_spec(name) is None]
_STARTS_WITHIN = 60.0  # s


def need_milvus() -> None:
    """Skip the test, saying why, where Milvus is not installed."""
    if _MISSING:
        pytest.skip(f"{' and '.join(_MISSING)} not installed: pip install 'echoic[milvus]'")


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """Run a server that keeps its data in ``folder``; give its address."""
    need_milvus()
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "milvus_lite", "server"]
    command += ["--data-dir", str(folder / "data"), "--host", "127.0.0.1", "--port", str(port)]
    # One request at a time: beside a write, Lite's reads may pass over rows that are there.
    command += ["--max-workers", "1"]
    with (folder / "log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as server:
        try:
            _wait_for(port, server, folder / "log")
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            try:
                server.wait(timeout=10)
            except subprocess.TimeoutExpired:
                server.kill()


@contextmanager
def refusing() -> Iterator[tuple[str, list[str]]]:
    """Run what speaks Milvus's protocol and takes no token; give its address and the tokens it is sent.

    Its refusal repeats the token, as servers do.
    """
    need_milvus()
    import grpc
    from pymilvus.grpc_gen import milvus_pb2_grpc

    seen: list[str] = []

    class Refusing(milvus_pb2_grpc.MilvusServiceServicer):
        def Connect(self, request: Any, context: Any) -> None:
            sent = dict(context.invocation_metadata()).get("authorization", "")
            seen.append(base64.b64decode(sent).decode())
            context.abort(grpc.StatusCode.UNAUTHENTICATED, f"auth check failure for {seen[-1]}")

    server = grpc.server(futures.ThreadPoolExecutor(1))
    milvus_pb2_grpc.add_MilvusServiceServicer_to_server(Refusing(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"http://127.0.0.1:{port}", seen
    finally:
        server.stop(grace=None).wait()


def _wait_for(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _STARTS_WITHIN
    while time.monotonic() < deadline:
        if server.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    pytest.fail(f"the Milvus server did not start:\n{log.read_text()}")
