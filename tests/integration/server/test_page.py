"""The page of the service: what it is made of, what it may do in a browser, and who it lets in."""

from __future__ import annotations

import csv
import io
import re
import zipfile

import pytest

from echoic.interchange.labels import read_labels
from echoic.server.keys import Keys
from echoic.server.page import PREFIX
from echoic.server.sessions import Sessions


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """A file of keys, and a key to read."""
    path = tmp_path_factory.mktemp("keys") / "keys"
    return path, Keys.make(path, "read")


@pytest.fixture(scope="module")
def guarded(serve, keys, place):
    with serve(keys=Keys(keys[0]), folders=(place.sounds,)) as served:
        yield served


def cookie(answer):
    """The cookie of an answer as a browser sends it, and its attributes."""
    spelt, *attributes = [one.strip() for one in answer.headers["Set-Cookie"].split(";")]
    return spelt, attributes


def test_the_page_runs_no_script_but_its_own_and_asks_nobody_else(ask):
    first, second = ask("/"), ask("/")
    policies = []
    for answer in (first, second):
        text, policy = answer.body.decode(), answer.headers["Content-Security-Policy"]
        [nonce] = re.findall(r"'nonce-([\w-]+)'", policy)
        assert f'content="{nonce}"' in text
        assert "script-src 'self';" in policy
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy
        assert not re.findall(r"\son\w+=|<script>|<style|style=", text)
        policies.append(policy)
    assert policies[0] != policies[1]  # a nonce is used once
    assert ask("/", method="HEAD").status == 200


def test_all_that_it_is_made_of_is_there_by_relative_addresses(ask):
    text = ask("/").body.decode()
    addresses = re.findall(r'(?:href|src)="([^"#]+)"', text)
    assert {"page/page.css", "page/main.js", "page/icon.svg"} <= set(addresses)
    seen, left = set(), [f"/{address}" for address in addresses if address != "."]
    while left:
        address = left.pop()
        if address in seen:
            continue
        seen.add(address)
        answer = ask(address)
        assert answer.status == 200, address
        source = answer.body.decode()
        if address.endswith(".js") and "/vendor/" not in address:
            assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
            for name in re.findall(r'from "\./([^"]+)"', source):
                left.append(PREFIX + name)
            assert "://" not in source.replace("http://localhost", ""), address
    assert {PREFIX + "vendor/wavesurfer.esm.js", PREFIX + "vendor/LICENSE"} <= seen
    known = ask("/page/main.js").headers["ETag"]
    assert ask("/page/main.js", headers={"If-None-Match": known}).status == 304


@pytest.mark.parametrize("name", ["", "absent.js", "../page.py", "..%2fpage.py", "index.html", "vendor"])
def test_nothing_else_is_sent(ask, name):
    assert ask(PREFIX + name).status == 404


def test_a_link_of_another_site_leads_to_the_page_and_nowhere_else(ask):
    visit = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert ask("/", headers=visit).status == 200
    assert ask("/", headers=visit | {"Sec-Fetch-Mode": "no-cors"}).status == 403
    assert ask("/", headers=visit | {"Origin": "http://evil.example"}).status == 403
    assert ask("/v1/files", headers=visit).status == 403
    assert ask("/page/main.js", headers=visit).status == 403


def test_the_page_is_told_under_no_other_name_and_to_no_other_site(ask):
    for route in ("/", "/page/main.js"):
        assert ask(route, headers={"Host": "evil.example"}).status == 421
        assert ask(route, headers={"Origin": "http://evil.example"}).status == 403


def test_a_key_is_shown_once_and_a_cookie_stands_for_it(guarded, keys):
    assert guarded("/").status == guarded("/page/main.js").status == 200
    assert guarded("/v1/session").status == 401
    begun = guarded("/v1/session", method="POST", key=keys[1])
    assert begun.json["role"] == "read"
    assert not begun.json["may_index"]
    spelt, attributes = cookie(begun)
    assert {"HttpOnly", "SameSite=strict"} <= set(attributes)
    assert not any(one.startswith(("Path", "Domain", "Secure")) for one in attributes)
    assert keys[1] not in begun.headers["Set-Cookie"]
    for route in ("/v1/files", "/v1/session", "/v1/files/1/audio"):
        assert guarded(route, headers={"Cookie": f"other=1; {spelt}"}).status == 200, route
    assert guarded("/v1/index", method="POST", headers={"Cookie": spelt}).status == 403
    for wrong in (spelt[:-1], "echoic=", spelt.replace("=", "", 1)):
        assert guarded("/v1/files", headers={"Cookie": wrong}).status == 401, wrong
    over_tls = {"Origin": f"https://{guarded.place}"}
    assert "Secure" in cookie(guarded("/v1/session", method="POST", key=keys[1], headers=over_tls))[1]
    assert guarded("/v1/session", method="DELETE", headers={"Cookie": spelt}).status == 200
    assert guarded("/v1/files", headers={"Cookie": spelt}).status == 401


def test_a_wrong_key_begins_nothing(guarded):
    answer = guarded("/v1/session", method="POST", key="wrong")
    assert answer.status == 401
    assert "Set-Cookie" not in answer.headers


def test_a_cookie_is_of_no_use_to_a_page_of_another_site(guarded, keys):
    spelt, _ = cookie(guarded("/v1/session", method="POST", key=keys[1]))
    for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert guarded("/v1/files", headers={"Cookie": spelt} | headers).status == 403


def test_sessions_end(monkeypatch):
    now = 0.0
    sessions = Sessions(10, lambda: now)
    token = sessions.begin("admin", "key")
    assert sessions.get(token).role == "admin"
    assert sessions.get("") is None
    now = 11.0
    assert sessions.get(token) is None
    monkeypatch.setattr("echoic.server.sessions._MOST", 2)
    tokens = [sessions.begin("read", "key") for _ in range(3)]
    assert [sessions.get(one) is None for one in tokens] == [True, False, False]


def test_a_cookie_begets_no_other(guarded, keys):
    spelt, _ = cookie(guarded("/v1/session", method="POST", key=keys[1]))
    answer = guarded("/v1/session", method="POST", headers={"Cookie": spelt})
    assert answer.status == 401
    assert "Set-Cookie" not in answer.headers


def test_without_keys_everybody_is_let_in(ask):
    begun = ask("/v1/session", method="POST")
    assert "Set-Cookie" not in begun.headers
    assert begun.json == ask("/v1/session").json
    assert (begun.json["role"], begun.json["has_keys"]) == ("admin", False)


def test_what_is_found_is_told_as_files_for_other_programs(ask):
    asked = {"text": "bells", "k": 3}
    hits = ask("/v1/search", asked).json["hits"]

    def saved(form):
        answer = ask("/v1/search", asked | {"format": form})
        assert answer.status == 200
        assert answer.headers["Content-Disposition"].startswith("attachment; filename=")
        return answer.body

    rows = list(csv.DictReader(io.StringIO(saved("csv").decode("utf-8", "surrogateescape"))))
    assert [float(row["start"]) for row in rows] == [hit["start"] for hit in hits]
    assert b"caf\xe9.wav" in saved("csv")  # the very bytes of the name
    playlist = saved("m3u").splitlines()
    assert playlist[0] == b"#EXTM3U"
    assert any(b"left out" in line for line in playlist)  # it has a line break in its name
    assert len(saved("raven").splitlines()) == 4
    with zipfile.ZipFile(io.BytesIO(saved("audacity"))) as archive:
        names = archive.namelist()
        [label] = read_labels(archive.read(names[0]).decode())
    assert len(names) == len(set(names)) == 3
    assert (label.start, label.text) == (hits[0]["start"], f"{hits[0]['score']:.2f}")
    assert not any(set(name) & set("/\\?#\n") - {"#"} for name in names)
