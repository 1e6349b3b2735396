"""What the service answers: lists, searches, identifications, descriptions, figures."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from echoic.audio.decode import read_audio
from echoic.audio.encode import write_audio
from echoic.encoders.registry import load_encoder
from echoic.recordings.result import Match
from echoic.server.shapes import EncoderShape, HitShape, MatchShape, Peaks
from echoic.types import Hit
from tests.integration.server.conftest import ODD, RATE


def uri(path):
    return Path(path).as_uri()


def test_it_says_that_it_is_up_and_which_encoders_there_are(ask):
    assert ask("/healthz").json["status"] == "ok"
    told = {encoder["name"]: encoder for encoder in ask("/v1/encoders").json}
    assert set(told) == {"sound", "fingerprint"}
    assert told["sound"]["inputs"] == ["audio", "text"]


@pytest.mark.parametrize("name", ["sound", "events", "voice", "harmony"])
def test_every_kind_of_encoder_can_be_told(name):
    spec = load_encoder(name).spec
    told = EncoderShape.of(name, spec)
    assert (told.name, told.by, told.purposes) == (spec.name, spec.by, sorted(spec.purposes))


def test_files_come_page_by_page_each_once(ask):
    whole = ask("/v1/files", {"limit": 1000}).json
    assert whole["total"] == len(whole["files"]) == 8
    found, after = [], 0
    while after is not None:
        page = ask("/v1/files", {"limit": 3, "after": after}).json
        assert page["total"] == 8
        assert len(page["files"]) <= 3
        found += page["files"]
        after = page["next"]
    assert found == whole["files"]


def test_files_are_filtered(ask, place):
    def names(**asked):
        return {record["path"].rpartition("/")[2] for record in ask("/v1/files", asked).json["files"]}

    assert names(path="pieces/*") == {"drive.mp3", "drive-copy.flac"}
    assert names(tag="place=garden") == {"rain.wav"}
    assert names(min_duration=20) == {"drive.mp3", "drive-copy.flac"}
    assert names(under=uri(place.sounds / "pieces"), path="*.mp3") == {"drive.mp3"}
    assert names(tag="nothing") == set()


def test_a_file_of_any_name_is_found_by_its_uri_and_its_id(ask, place):
    path = place.sounds / ODD
    [listed] = ask("/v1/files", {"uri": uri(path)}).json["files"]
    assert listed["uri"] == uri(path)
    assert listed["path"] == os.fsencode(path).decode("utf-8", "replace")
    assert ask(f"/v1/files/{listed['id']}").json == listed
    assert ask("/v1/files", {"uri": uri(place.sounds / "absent.wav")}).json["files"] == []
    hits = {
        "by id": ask("/v1/search", {"file": listed["id"]}).json["hits"],
        "by URI": ask("/v1/search", {"file": uri(path)}).json["hits"],
    }
    assert hits["by id"] == hits["by URI"]
    assert len(hits["by id"]) == 6  # neither itself nor what could not be read


def test_what_failed_is_told_with_its_reason(ask, ids):
    record = ask(f"/v1/files/{ids['no-sound.wav']}").json
    assert record["state"] == "failed"
    assert "holds no sound" in record["message"]


def test_a_sound_is_searched_by_that_comes_in_the_body(ask, place):
    body = (place.sounds / "rain.wav").read_bytes()
    found = ask("/v1/search", {"k": 2}, method="POST", body=body).json["hits"]
    assert [hit["path"].rpartition("/")[2] for hit in found] == ["rain.wav", "quiet.wav"]
    assert found[0]["score"] == pytest.approx(1, abs=1e-3)
    assert [hit["rank"] for hit in found] == [1, 2]
    spoken_of = ask("/v1/search", {"path": "pieces/*"}, method="POST", body=body).json["hits"]
    assert {hit["path"].rpartition("/")[2] for hit in spoken_of} == {"drive.mp3", "drive-copy.flac"}


def test_words_and_examples_liked_and_unliked_move_what_is_found(ask, ids):
    by_words = ask("/v1/search", {"text": "rain", "k": 2}).json["hits"]
    assert {hit["path"].rpartition("/")[2] for hit in by_words} <= {"rain.wav", "quiet.wav"}
    liked = ask("/v1/search", {"like": [ids["rain.wav"], "text:rain"], "k": 1}).json["hits"]
    assert liked[0]["id"] == ids["quiet.wav"]
    piece = ids["drive.mp3"]
    without = ask("/v1/search", {"file": piece, "unlike": "text:music"}).json["hits"]
    plain = ask("/v1/search", {"file": piece}).json["hits"]
    assert without[0]["score"] < plain[0]["score"]


def test_what_a_person_should_know_of_the_words_is_told(ask):
    [note] = ask("/v1/search", {"text": "rain qwxyz"}).json["notes"]
    assert note["kind"] == "words"
    assert "qwxyz" in note["sentence"]
    assert ask("/v1/search", {"text": "rain"}).json["notes"] == []


def test_a_recording_is_identified_from_a_noisy_part_of_it(ask, place, tmp_path):
    samples, _ = read_audio(place.sounds / "pieces" / "drive-copy.flac", RATE, start=8, end=16)
    noisy = samples + np.random.default_rng(0).normal(0, 0.05, len(samples))
    write_audio(tmp_path / "bar.mp3", noisy.astype(np.float32), RATE)
    body = (tmp_path / "bar.mp3").read_bytes()
    matches = ask("/v1/identify", {"name": "bar.mp3"}, method="POST", body=body).json["matches"]
    assert {match["path"].rpartition("/")[2] for match in matches} == {"drive.mp3", "drive-copy.flac"}
    assert matches[0]["start"] == pytest.approx(8, abs=0.5)
    assert matches[0]["score"] > 0.9


def test_a_copy_is_identified_within_the_library(ask, ids):
    [match] = ask("/v1/identify", {"file": ids["drive.mp3"]}).json["matches"]
    assert match["id"] == ids["drive-copy.flac"]


def test_a_sound_in_the_body_is_described(ask, place):
    body = (place.sounds / "rain.wav").read_bytes()
    asked = {"min_probability": 0.05, "end": 2}
    spans = ask("/v1/describe", asked, method="POST", body=body).json["spans"]
    assert spans
    assert all(0 <= span["start"] < span["end"] <= 2 for span in spans)
    assert all(0.05 <= span["probability"] <= 1 for span in spans)


@pytest.mark.parametrize(
    ("route", "asked", "says"),
    [
        ("/v1/search", {}, "give a file or words"),
        ("/v1/search", {"text": "rain", "every": "true"}, "the library has no encoder 'events'"),
        ("/v1/search", {"text": "rain", "min_score": 0.5}, "min_score goes with every"),
        ("/v1/search", {"phrase": "hello", "text": "rain"}, "neither text"),
        ("/v1/search", {"phrase": "hello", "voice": "true"}, "phrase and voice are looked for one at a time"),
        ("/v1/search", {"phrase": "hello", "file": 1}, "give one of them"),
        ("/v1/search", {"voice": "true"}, "voice goes with a file"),
        ("/v1/search", {"versions": "true", "file": 1, "every": "true"}, "neither every nor encoder"),
        ("/v1/search", {"spoken": "true"}, "spoken goes with"),
        ("/v1/search", {"phrase": "hello there"}, "encoder"),
        ("/v1/search", {"text": "rain", "encoder": "absent"}, "absent"),
        ("/v1/search", {"text": "rain", "K": 3}, "there is no parameter 'K'; look at how it is spelt"),
        ("/v1/search", {"text": "rain", "k": "nan"}, "k is no whole number; give one in digits"),
        ("/v1/search", {"text": "rain", "k": 0}, "k is less than 1; give that or more"),
        ("/v1/search", {"text": "rain", "k": 20_000}, "k is more than 10,000; give that or less"),
        (
            "/v1/search",
            {"text": "", "every": 2},
            "text is empty; give some text, or leave it out; every is n",
        ),
        ("/v1/search", {"text": "a" * 3_000}, "text has more than 2,000 characters; shorten it"),
        ("/v1/search", {"text": "rain", "like": ["1"] * 101}, "like has more than 100 values; give fewer"),
        ("/v1/search", {"text": "rain", "like": ["", "1", ""]}, "like is empty; give some text, or leave it"),
        ("/v1/search", {"text": "rain", "format": "xls"}, "choose one of 'json', 'csv', 'm3u', 'raven' or"),
        ("/v1/search", {"text": "rain", "start": "soon"}, "start is no number; give one in digits, as 2.5"),
        ("/v1/describe", {"file": 1, "min_probability": 0}, "min_probability is not more than 0"),
        ("/v1/files/0", {}, "file_id is less than 1"),
        ("/v1/search", {"file": "http://example.org/a.wav"}, "addresses are not fetched"),
        ("/v1/search", {"file": "../../etc/passwd"}, "by its id, or by its URI"),
        ("/v1/search", {"text": "rain", "min_duration": "inf"}, "min_duration is not finite"),
        ("/v1/identify", {}, "send a sound in the body"),
        ("/v1/describe", {"file": 1, "start": 1}, "told when it was indexed"),
        ("/v1/files", {"tag": "heard=No such kind"}, "no such kind"),
    ],
)
def test_what_cannot_be_meant_is_told_in_one_sentence(ask, route, asked, says):
    answer = ask(route, asked)
    assert answer.status == 422
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json
    assert problem["status"] == 422
    assert says in problem["detail"]
    assert issubclass(getattr(__import__("echoic").errors, problem["error"]), Exception)


def test_figures_count_what_was_answered(ask):
    def count():
        lines = ask("/metrics").body.decode().splitlines()
        figures = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        assert figures["echoic_files"] == "8.0"
        return float(
            figures.get('echoic_requests_total{method="GET",route="/v1/files/{file_id}",status="404"}', 0)
        )

    before = count()
    assert ask("/v1/files/987654").status == 404
    assert count() == before + 1


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_what_is_no_number_never_leaves(number):
    hit = Hit(1, "/a.wav", 0.0, 1.0, number, "sound")
    match = Match("a", "/a.wav", 0.0, 1.0, 0.0, 1.0, 0.9, number)
    for shape, value in ((HitShape, hit), (MatchShape, match)):
        with pytest.raises(ValidationError):
            shape.of(value, 1)
    with pytest.raises(ValidationError):
        Peaks(start=0, end=1, lows=[number], highs=[0])
