"""Pictures and films over HTTP as at hand, by an encoder of colours that stand for tones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from echoic import Library
from echoic.audio.encode import write_audio
from echoic.audio.synthesis import tone
from echoic.client import Client
from echoic.errors import EchoicError, NotAudioError, UsageError
from tests.doubles.echoic_doubles import RATE
from tests.media import write_picture, write_pictures

pytestmark = pytest.mark.usefixtures("doubles")
LEVELS = (50, 120, 220)  # of red; the double takes 10 Hz for each


def red(level):
    picture = np.zeros((24, 32, 3), np.uint8)
    picture[..., 0] = level
    return picture


@pytest.fixture(scope="module")
def both(serve, doubles, tmp_path_factory):
    home = tmp_path_factory.mktemp("seen")
    (home / "sounds").mkdir()
    for level in LEVELS:
        write_audio(home / "sounds" / f"{level}.wav", tone(10 * level, 1.5, RATE), RATE)
        write_picture(home / f"{level}.png", red(level))
    write_pictures(home / "film.mp4", [red(50)] * 10 + [red(220)] * 10)
    with Library(home / "library") as library:
        library.index([home / "sounds"], encoders=["sights"], jobs=1)
        with serve(library=home / "library") as served:
            yield library, Client(served.address), home, served


def test_a_picture_or_a_part_of_a_film_finds_sounds(both):
    library, client, home, ask = both
    for name, options, best in (
        ("120.png", {}, "120.wav"),
        ("50.png", {"k": 1, "path": "*.wav", "encoder": "sights"}, "50.wav"),
        ("film.mp4", {"k": 2, "end": 1.0}, "50.wav"),
        ("film.mp4", {"start": 1.0}, "220.wav"),
    ):
        found = client.pictured(home / name, **options)
        assert found == library.pictured(home / name, **options)
        assert Path(found[0].path).name == best
    for kind in ("image/png", "IMAGE/X-odd; q=1"):  # a picture by its type
        headers = {"Content-Type": kind}
        body = (home / "220.png").read_bytes()
        [hit] = ask("/v1/search", {"k": 1}, method="POST", body=body, headers=headers).json["hits"]
        assert hit["path"].endswith("220.wav")
    assert list(ask.service.uploads.folder.iterdir()) == []


def test_what_cannot_be_seen_is_told_as_at_hand(both, place):
    library, client, home, ask = both
    (home / "page.png").write_text("<html>")
    for picture, options, kind in (
        (home / "page.png", {}, NotAudioError),
        (home / "sounds" / "50.wav", {}, NotAudioError),
        (home / "film.mp4", {"start": 99.0}, EchoicError),
        (home / "50.png", {"encoder": "absent"}, EchoicError),
    ):
        said = []
        for one in (library, client):
            with pytest.raises(kind) as error:
                one.pictured(picture, **options)
            said.append((type(error.value), str(error.value).replace(f"{home}/", "").replace("sounds/", "")))
        assert said[0] == said[1]
    body = (home / "50.png").read_bytes()
    for asked, says in (
        ({"text": "10"}, "by=picture goes with neither text"),
        ({"every": "true"}, "leave every out"),
        ({"min_score": 0.5}, "min_score goes with"),
        ({"voice": "true"}, "one at a time"),
    ):
        answer = ask("/v1/search", asked | {"by": "picture"}, method="POST", body=body)
        assert answer.status == 422
        assert says in answer.json["detail"], answer.json
    assert "a picture in the body" in ask("/v1/search", {"by": "picture"}).json["detail"]


def test_a_library_that_sees_nothing_says_what_would(ask, both):
    body = (both[2] / "50.png").read_bytes()
    answer = ask("/v1/search", method="POST", body=body, headers={"Content-Type": "image/png"})
    assert answer.status == 422
    assert "echoic models add pe-av" in answer.json["detail"]
    with pytest.raises(UsageError, match="takes pictures"):
        Client(ask.address).pictured(both[2] / "50.png")
