"""What the service refuses, and how little it takes to refuse it."""

from __future__ import annotations

import contextlib
import itertools
import re
import socket
import time

import numpy as np
import pytest
from starlette.exceptions import HTTPException

from echoic.audio.encode import write_audio
from echoic.errors import UsageError
from echoic.server.guard import is_media
from echoic.server.keys import Keys
from echoic.server.limits import Rate
from echoic.server.settings import Settings

MIB = 1 << 20


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """A file of keys, and a key of each role."""
    path = tmp_path_factory.mktemp("keys") / "keys"
    return path, Keys.make(path, "read"), Keys.make(path, "admin")


@pytest.fixture(scope="module")
def guarded(serve, keys, place):
    """The library, served with keys, of sounds up to 2 MiB, 3 s long, that arrive within half a second."""
    path = keys[0]
    with serve(
        keys=Keys(path),
        names=("sounds.example.org",),
        folders=(place.sounds,),
        max_upload=2 * MIB,
        max_seconds=3.0,
        upload_seconds=0.5,
    ) as served:
        yield served


def left_over(served):
    """List the sounds that a service has not removed."""
    return list(served.service.uploads.folder.iterdir())


def routes(served, key=None):
    """List every route of the service with each of its methods."""
    described = served("/openapi.json", key=key).json["paths"]
    assert len(described) >= 12
    return [
        (method.upper(), path.replace("{file_id}", "1"))
        for path, methods in described.items()
        for method in methods
    ] + [("HEAD", "/v1/files/1/audio"), ("GET", "/openapi.json"), ("GET", "/absent")]


def test_a_service_that_has_another_name_does_not_answer(ask):
    """A site whose name leads to this machine reads nothing here."""
    for method, route in routes(ask):
        for host in (
            "evil.example",
            "evil.example:8765",
            "127.0.0.1.evil.example",
            "localhost@evil",
            "",
            "[::1",
        ):
            answer = ask(route, method=method, headers={"Host": host})
            # An absent Host is refused by the protocol itself.
            assert answer.status == 421, (method, route, host)
    for host in ("localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:80"):
        assert ask("/healthz", headers={"Host": host}).status == 200


def test_a_proxy_may_give_it_a_name(guarded, keys):
    asked = {"Host": "sounds.example.org", "Origin": "https://sounds.example.org"}
    assert guarded("/v1/encoders", key=keys[1], headers=asked).status == 200
    assert guarded("/healthz", headers={"Host": "example.org"}).status == 421


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1"},  # at another port
        {"Origin": "http://["},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_page_of_another_site_gets_nothing(ask, headers):
    for method, route in routes(ask):
        answer = ask(route, method=method, headers=headers)
        assert answer.status == 403, (method, route)
        assert "Access-Control-Allow-Origin" not in answer.headers


def test_its_own_page_may_ask(ask):
    headers = {"Origin": ask.address, "Sec-Fetch-Site": "same-origin"}
    assert ask("/v1/encoders", headers=headers).status == 200


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json",
        "",
    ],
)
def test_what_is_not_called_sound_is_not_taken(ask, place, kind):
    body = (place.sounds / "rain.wav").read_bytes()
    for method, route in routes(ask):
        if method == "POST":
            answer = ask(route, method="POST", body=body, headers={"Content-Type": kind})
            assert answer.status == 415, route
    packed = ask("/v1/search", method="POST", body=body, headers={"Content-Encoding": "gzip"})
    assert packed.status == 415


def test_which_types_are_sound():
    assert all(map(is_media, ("audio/wav", "Audio/X-FLAC; rate=1", "video/mp4", "application/octet-stream")))
    assert is_media("image/png")
    assert not any(map(is_media, ("", "audio", "audio/", "text/audio/wav", "image", "audio/wav, text/plain")))


def test_without_a_key_nothing_is_told(guarded, keys):
    for method, route in routes(guarded, keys[1]):
        for key in (None, "", "wrong", keys[1][:-1], "\xff"):
            answer = guarded(route, method=method, key=key)
            if route == "/healthz":
                assert answer.status == 200
            else:
                assert answer.status == 401, (method, route, key)
                assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert guarded("/v1/files", headers={"Authorization": f"Basic {keys[1]}"}).status == 401


def test_a_key_to_read_does_not_index(guarded, keys):
    _, read, admin = keys
    for method in ("POST", "DELETE"):
        assert guarded("/v1/index", method=method, key=read).status == 403
    assert guarded("/v1/index", key=read).status == 200
    assert guarded("/v1/search", {"text": "rain"}, key=read).status == 200
    assert guarded("/v1/index", method="DELETE", key=admin).status == 202


def test_keys_are_kept_as_hashes_that_nobody_else_reads(keys):
    path, read, admin = keys
    text = path.read_text()
    assert read not in text
    assert admin not in text
    assert re.fullmatch(r"read [0-9a-f]{64}\nadmin [0-9a-f]{64}\n", text)
    assert path.stat().st_mode & 0o077 == 0
    known = Keys(path)
    assert (known.role(read), known.role(admin), known.role(text.split()[1])) == ("read", "admin", None)


@pytest.mark.parametrize("text", ["", "# nothing\n", "read abc\n", "root " + "0" * 64, "\xff"])
def test_a_file_that_has_no_keys_is_refused(tmp_path, text):
    path = tmp_path / "keys"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError, match="--new-key"):
        Keys(path)


def test_nothing_but_keys_is_added_to(tmp_path):
    path = tmp_path / "env.sh"
    path.write_text("export A=1\n")
    with pytest.raises(UsageError, match=r"line 1 of .* is no key; make some in a new file"):
        Keys.make(path, "read")
    assert path.read_text() == "export A=1\n"
    path.write_text("# of the studio\n")
    key = Keys.make(path, "read")
    assert Keys(path).role(key) == "read"


def test_no_network_is_served_without_keys(tmp_path, keys):
    for host in ("0.0.0.0", "::", "192.168.1.2", "sounds.example.org"):
        with pytest.raises(UsageError, match="can be reached from other machines"):
            Settings(tmp_path, host=host)
        assert Settings(tmp_path, host=host, keys=Keys(keys[0]))


@pytest.mark.parametrize(("status", "with_key"), [(401, False), (413, True)])
def test_an_upload_is_refused_before_it_is_read(guarded, keys, status, with_key):
    authorization = f"Authorization: Bearer {keys[1]}\r\n" if with_key else ""
    head = (
        f"POST /v1/search HTTP/1.1\r\nHost: {guarded.place}\r\n{authorization}"
        f"Content-Type: audio/wav\r\nContent-Length: {100 * MIB}\r\n\r\n"
    ).encode()
    with contextlib.closing(socket.create_connection(guarded.place.split(":"), timeout=10)) as connection:
        connection.sendall(head)
        answer = b""
        while part := connection.recv(1 << 14):  # to its end, though nothing of the sound was sent
            answer += part
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert left_over(guarded) == []


def test_of_an_upload_without_a_length_no_more_is_taken_than_may_come(guarded, keys):
    def chunks():
        for _ in range(200):
            yield bytes(MIB // 8)

    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        answer = guarded("/v1/search", method="POST", body=chunks(), key=keys[1])
        assert answer.status == 413
    assert left_over(guarded) == []
    assert guarded("/v1/encoders", key=keys[1]).status == 200


def test_a_sound_that_comes_too_slowly_is_not_waited_for(guarded, keys):
    head = (
        f"POST /v1/search HTTP/1.1\r\nHost: {guarded.place}\r\nAuthorization: Bearer {keys[1]}\r\n"
        "Content-Type: audio/wav\r\nContent-Length: 1000\r\n\r\nRIFF"
    ).encode()
    with contextlib.closing(socket.create_connection(guarded.place.split(":"), timeout=10)) as connection:
        connection.sendall(head)
        answer = b""
        while part := connection.recv(1 << 14):
            answer += part
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert left_over(guarded) == []


def test_a_sound_that_breaks_off_leaves_nothing(guarded, keys, caplog):
    head = (
        f"POST /v1/search HTTP/1.1\r\nHost: {guarded.place}\r\nAuthorization: Bearer {keys[1]}\r\n"
        "Content-Type: audio/wav\r\nContent-Length: 1000\r\n\r\nRIFF"
    ).encode()
    with contextlib.closing(socket.create_connection(guarded.place.split(":"), timeout=10)) as connection:
        connection.sendall(head)
    while left_over(guarded) or guarded.service.uploads.n_arriving:
        time.sleep(0.01)
    assert guarded("/v1/encoders", key=keys[1]).status == 200
    assert "Traceback" not in caplog.text


def test_a_small_file_of_much_silence_is_not_listened_to(guarded, keys, tmp_path):
    write_audio(tmp_path / "silence.flac", np.zeros(60 * 8_000, np.float32), 8_000)
    body = (tmp_path / "silence.flac").read_bytes()
    assert len(body) < MIB // 8
    for route in ("/v1/search", "/v1/identify", "/v1/describe"):
        answer = guarded(route, method="POST", body=body, key=keys[1])
        assert answer.status == 422
        assert "more than 3 s of sound" in answer.json["detail"]
        part = guarded(route, {"start": 1, "end": 2}, method="POST", body=body, key=keys[1])
        assert "more than 3 s" not in part.body.decode()
    assert left_over(guarded) == []


def test_long_files_of_the_library_are_identified_and_converted_in_parts(guarded, keys):
    [drive] = guarded("/v1/files", {"path": "*drive.mp3"}, key=keys[1]).json["files"]
    route = f"/v1/files/{drive['id']}/audio"
    assert guarded(route, {"start": 0}, key=keys[1]).status == 422
    assert guarded(route, {"start": 2, "end": 5}, key=keys[1]).status == 200
    assert guarded("/v1/identify", {"file": drive["id"]}, key=keys[1]).status == 422
    assert guarded("/v1/search", {"file": drive["id"], "start": 1}, key=keys[1]).status == 422
    assert guarded("/v1/search", {"file": drive["id"]}, key=keys[1]).status == 200  # its vectors are there


@pytest.mark.parametrize("body", [b"", b"RIFF", b"<html>", bytes(1000)])
def test_what_is_no_sound_is_told_by_its_name_and_nothing_else(ask, body):
    for route in ("/v1/search", "/v1/identify", "/v1/describe"):
        answer = ask(route, {"name": "my sound.wav"}, method="POST", body=body)
        assert answer.status == 422
        assert str(ask.service.uploads.folder) not in answer.body.decode()
        if body:
            assert "my sound.wav" in answer.json["detail"]
    assert left_over(ask) == []


@pytest.mark.parametrize("name", ["../../a.wav", "/etc/passwd", "a\x00.wav", "a.w/v", "." * 255, "a\n.wav"])
def test_the_name_of_a_sound_leads_nowhere(ask, place, name):
    body = (place.sounds / "rain.wav").read_bytes()
    assert ask("/v1/search", {"name": name, "k": 1}, method="POST", body=body).status == 200
    assert left_over(ask) == []


def test_nothing_outside_the_library_is_reached(ask, place):
    secret = place.library / "library.sqlite"
    climbing = f"{place.sounds.as_uri()}/../library/library.sqlite"
    for uri in (
        secret.as_uri(),
        climbing,
        "file:///etc/passwd",
        "file:///dev/zero",
        "file:///%00",
        "file:////",
    ):
        for route in ("/v1/search", "/v1/identify", "/v1/describe"):
            assert ask(route, {"file": uri}).status == 404, uri
        assert ask("/v1/search", {"like": uri}).status == 404
        assert ask("/v1/files", {"uri": uri}).json["files"] == []
    for path in (
        "..%2f..%2fetc%2fpasswd",
        "../../../etc/passwd",
        "%2e%2e/%2e%2e",
        "1/../../../etc/passwd",
        "-1",
    ):
        assert ask(f"/v1/files/{path}").status in (404, 422), path
        assert ask(f"/v1/files/{path}/audio").status in (404, 422), path


def test_numbers_beyond_reason_are_refused(ask):
    for asked in ({"k": 10**9}, {"k": -1}, {"start": "1e400"}, {"k": "9" * 5_000}, {"text": "x" * 3_000}):
        assert ask("/v1/search", {"text": "rain"} | asked).status == 422
    assert ask("/v1/files", {"limit": 10**6}).status == 422
    assert ask(f"/v1/files/{10**30}").status == 422
    assert ask("/v1/files/1/spectrogram.png", {"width": 10**6}).status == 422
    assert ask("/v1/files", {"uri": "file:///" + "a" * 20_000}).status == 422


def test_who_asks_for_too_much_at_once_is_told_to_come_again(serve):
    with serve(n_threads=1, n_waiting=1) as ask:
        pool = ask.service.work
        pool.n_taken += 2  # as if one was worked on, and one waited
        answer = ask("/v1/search", {"text": "rain"})
        assert answer.status == 429
        assert answer.headers["Retry-After"] == "1"
        assert ask("/v1/files").status == 200  # looking something up is none of that
        pool.n_taken -= 2
        assert ask("/v1/search", {"text": "rain"}).status == 200
        assert pool.n_taken == 0


def test_who_asks_too_often_is_told_when_to_come_again(serve, keys):
    with serve(rate=3, keys=Keys(keys[0])) as ask:
        statuses = [ask("/v1/encoders", key=keys[1]).status for _ in range(4)]
        assert statuses == [200, 200, 200, 429]
        answer = ask("/v1/search", key=keys[1])
        assert 0 < int(answer.headers["Retry-After"]) <= 20
        respelt = {"Authorization": f"bearer   {keys[1]} ", "Cookie": "a=1"}
        assert ask("/v1/encoders", headers=respelt).status == 429
        assert ask("/v1/encoders", key=keys[2]).status == 200  # somebody else
        assert ask("/healthz").status == ask("/").status == 200


def test_what_a_client_may_ask_comes_again_with_time():
    now = 0.0
    rate = Rate(60, lambda: now)

    def is_taken(client):
        try:
            rate.take(client)
        except HTTPException as refusal:
            return refusal.headers["Retry-After"] != "1"
        return True

    def taken(client="one"):
        return sum(1 for _ in itertools.takewhile(is_taken, itertools.repeat(client)))

    assert taken() == 60
    assert taken() == 0
    now = 2.5
    assert taken() == 2
    assert taken("another") == 60
    now = 10_000.0
    assert taken() == 60  # no more than a minute's at once


def test_every_answer_forbids_to_be_framed_guessed_at_and_kept(ask):
    for method, route in routes(ask):
        if route == "/v1/index/events":
            continue
        headers = ask(route, method=method).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["Cache-Control"] in ("no-store", "private, no-cache")
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
