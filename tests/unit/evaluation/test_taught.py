"""Which clips an encoder was taught, noted and looked up."""

from __future__ import annotations

import hashlib

import pytest

from echoic.encoders.card import read_card
from echoic.encoders.onnx import BUNDLED
from echoic.evaluation.taught import Taught, count_taught, digest_clips, note_clips, read_taught


@pytest.fixture
def clips(tmp_path):
    paths = [tmp_path / f"{number}.wav" for number in range(4)]
    for number, path in enumerate(paths):
        path.write_bytes(b"clip %d" % number)
    return paths


def test_a_digest_is_that_of_the_content_and_empty_for_what_cannot_be_read(clips, tmp_path):
    assert digest_clips([clips[0], tmp_path / "gone.wav"]) == [
        hashlib.sha256(b"clip 0").hexdigest()[:12],
        "",
    ]


def test_clips_are_known_again_wherever_they_lie(clips, tmp_path):
    history = {"data": {"digests": note_clips(clips[:2]), "held_out": note_clips(clips[1:3])}}
    moved = clips[0].rename(tmp_path / "elsewhere.wav")
    taught = read_taught(history)
    assert count_taught(taught, digest_clips([moved, *clips[1:]])) == (2, 1)


def test_what_the_models_before_were_taught_counts_too(clips):
    one, two, three = ({"data": {"digests": note_clips([clip])}} for clip in clips[:3])
    history = {"members": [one | {"started_from": two}, three]}
    assert count_taught(read_taught(history), digest_clips(clips)) == (3, 0)


@pytest.mark.parametrize(
    "history",
    [
        None,
        "text",
        {"data": 1},
        {"data": {"digests": "0123"}},
        {"data": {"digests": ["0123456789ab"]}},
        {"data": {"digests": "0123456789ax"}},
        {"members": {"data": {}}},
        {"started_from": [1]},
    ],
)
def test_what_is_not_understood_is_passed_over(history):
    assert read_taught(history) == Taught()


def test_a_history_without_an_end_is_cut_off(clips):
    history = {"data": {"digests": note_clips(clips)}}
    history["started_from"] = history
    assert len(read_taught(history).learnt) == 4


def test_no_digest_is_never_taught():
    assert count_taught(Taught(frozenset(), frozenset()), ["", ""]) == (0, 0)


def test_the_card_of_sound_notes_every_clip_that_it_was_trained_on():
    training = read_card(BUNDLED / "sound.onnx")["training"]
    assert training["data"]["clips"] == 18_572
    assert len(read_taught(training).learnt) == 18_570  # two are copies of others
