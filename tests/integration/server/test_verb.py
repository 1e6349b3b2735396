"""``echoic serve`` from the command line."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import socket
import time

import pytest

from echoic.server.keys import Keys
from tests.integration.conftest import CommandLine, CommandsWithin


@pytest.fixture
def commands(place):
    return CommandsWithin(place.library)


def ask(address, route, key=None):
    with contextlib.closing(
        http.client.HTTPConnection(address.removeprefix("http://"), timeout=30)
    ) as connection:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        connection.request("GET", route, headers=headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())


def test_it_serves_until_it_is_asked_to_stop(place, tmp_path):
    key = Keys.make(tmp_path / "keys", "read")
    with CommandLine(tmp_path / "none").start(
        "serve", place.library, "--port", "0", "--key-file", tmp_path / "keys", text=True
    ) as process:
        address = process.stderr.readline().split()[2].rstrip(";")
        assert ask(address, "/healthz")[0] == 200
        assert ask(address, "/v1/files")[0] == 401
        assert ask(address, "/v1/files", key)[1]["total"] == 8
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGINT):  # of somebody who is impatient
            process.send_signal(number)
            time.sleep(0.02)
        _, complaints = process.communicate(timeout=30)
    assert process.returncode == 0
    assert complaints == ""


def test_a_new_key_is_printed_once(commands, tmp_path):
    keys = tmp_path / "keys"
    read, admin = (
        commands("serve", "--new-key", role, "--key-file", keys).stdout.strip() for role in ("read", "admin")
    )
    assert [Keys(keys).role(key) for key in (read, admin)] == ["read", "admin"]
    assert read not in keys.read_text()


def test_what_cannot_be_served_is_told_in_one_sentence(commands, place, tmp_path):
    open_to_all = commands("serve", place.library, "--host", "0.0.0.0", code=2).stderr
    assert open_to_all.startswith("error: 0.0.0.0 can be reached from other machines; make a key")
    assert open_to_all.count("\n") == 1
    gone = ["serve", place.library, "--folder", tmp_path / "none", "--port", "0"]
    assert "is no folder that could be indexed" in commands(*gone, code=2).stderr
    assert "there is no library" in commands("serve", tmp_path / "none", "--port", "0", code=1).stderr
    assert "--key-file" in commands("serve", "--new-key", "read", code=2).stderr
    assert "cannot be read" in commands("serve", "--key-file", tmp_path / "none", code=2).stderr
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert "cannot be listened at" in commands("serve", place.library, "--port", port, code=2).stderr
