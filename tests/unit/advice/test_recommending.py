"""Which candidate is chosen, and what is said of it."""

import math
from dataclasses import replace

import pytest

from echoic.advice.collection import Collection
from echoic.advice.recommending import _against, _chosen, _Limits, _places
from echoic.advice.result import Advice, Candidate
from echoic.advice.telling import command, sentence, spell_hours, spell_time

NO_LIMITS = _Limits(math.inf, math.inf)


def candidate(encoder, average, *, indexing=10.0, latency=0.02, memory=100.0):
    return Candidate(
        encoder=encoder,
        purposes=("sounds",),
        mean_average_precision=average,
        precision_at_1=average,
        speed=100.0,
        indexing=indexing,
        latency=latency,
        memory=memory,
        disk=1.0,
        segments=100,
        store="exact",
    )


def advice(*candidates, **changed):
    whole = {
        "folder": "my sounds",
        "files": 300,
        "hours": 2.0,
        "sample": 160,
        "sample_seconds": 30.0,
        "kinds": {"speech": 0.0, "music": 0.0, "environment": 1.0},
        "measure": "labels",
        "labels": 2,
        "jobs": 2,
        "candidates": candidates,
        "encoder": candidates[0].encoder,
        "also": (),
        "store": "exact",
        "indexing": 240.0,
        "command": "",
        "sentence": "",
    }
    return Advice(**whole | changed)


def test_the_best_is_chosen_and_of_those_as_good_the_quickest():
    slow = candidate("slow", 0.605, indexing=90.0)
    quick = candidate("quick", 0.6, indexing=10.0)
    worse = candidate("worse", 0.58, indexing=1.0)
    assert _chosen([worse, slow, quick], NO_LIMITS) is quick
    assert _chosen([worse, slow], NO_LIMITS) is slow
    assert _against(worse, quick, NO_LIMITS) == "finds less"
    assert _against(slow, quick, NO_LIMITS) == "no better, and slower"


def test_what_does_not_keep_to_the_limits_is_not_chosen():
    best = candidate("best", 0.9, latency=0.5, memory=900.0)
    other = candidate("other", 0.5)
    assert _chosen([best, other], _Limits(0.1, math.inf)) is other
    assert _chosen([best, other], _Limits(math.inf, 500.0)) is other
    assert _chosen([best, other], _Limits(0.001, math.inf)) is None
    assert _against(best, other, _Limits(0.1, 500.0)) == "too slow to ask"
    assert _against(best, other, _Limits(1.0, 500.0)) == "takes too much memory"


def test_what_is_said():
    told = advice(candidate("sound", 0.61), candidate("other", 0.5))
    assert sentence(told) == (
        "Index with sound, in the embedded store, every segment compared: mAP 0.61 by your labels, where "
        "other has 0.50, and 4 min of indexing for 2 hours of sound on 2 cores."
    )
    guessed = sentence(
        replace(told, measure="copies", also=("fingerprint", "harmony"), store="index", jobs=1)
    )
    assert "with fingerprint and harmony to know recordings and versions of music" in guessed
    assert "guessed by copies and cuts, without labels" in guessed
    assert guessed.endswith("on 1 core.")
    assert "mAP 0.61 by your labels from only 12 files, where" in sentence(replace(told, sample=12))
    assert sentence(replace(told, encoder=None)).startswith("None of sound, other keeps to what you ask for")


def test_what_is_flattered_is_said():
    told = sentence(advice(replace(candidate("mine", 0.9), taught=30), candidate("sound", 0.6)))
    assert "mAP 0.90 by your labels (it was taught or chosen by 30 of these files, which flatters it)" in told


def test_of_a_manifest_the_folders_of_its_files_are_indexed_and_none_above(tmp_path):
    paths = ["a/1.wav", "a/b/2.wav", "c/d/3.wav", "c/e/4.wav"]
    sizes = {tmp_path / path: 1 for path in paths}
    collection = Collection((), sizes, labelled=False)
    assert _places("all.csv", collection) == [str(tmp_path / name) for name in ("a", "c/d", "c/e")]
    assert _places(str(tmp_path), collection) == [str(tmp_path)]


@pytest.mark.parametrize(
    ("hours", "spelt"), [(0.158, "0.158"), (12.5, "12.5"), (1200, "1,200"), (1e6, "1,000,000")]
)
def test_hours_are_spelt(hours, spelt):
    assert spell_hours(hours) == spelt


def test_the_command_is_one_that_a_shell_takes():
    told = advice(candidate("sound", 0.6), also=("fingerprint",))
    assert command(told, ["my sounds"]) == "echoic index 'my sounds' --encoder sound --encoder fingerprint"
    assert command(replace(told, store="milvus"), ["a"]).endswith("--store http://SERVER:19530")
    assert command(replace(told, encoder=None), ["a"]) == ""


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.2, "less than 1 s"), (42.4, "42 s"), (240, "4 min"), (9000, "2.5 h")]
)
def test_times_are_spelled_by_their_size(seconds, said):
    assert spell_time(seconds) == said
