"""The benchmarks run; what they print is the machine's affair."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import __main__ as every
from benchmarks import capacity, cold_start, faults, indexing, occurrences, retrieval, tables
from echoic.audio.decode import read_audio
from echoic.encoders.registry import load_encoder
from echoic.library import Library
from echoic.storage.vectors.ann import cells_of

ROOT = Path(__file__).parents[2]


def test_tables_are_aligned(capsys):
    tables.print_table("Speed", ["part", "x"], [["decode", "585"], ["mel", "1267"]], "A note.")
    assert capsys.readouterr().out == (
        "Speed\n\n| part   |    x |\n| ------ | ---: |\n| decode |  585 |\n| mel    | 1267 |\n\nA note.\n\n"
    )


def test_a_table_takes_the_place_of_the_one_before(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("Speed:\n\n<!-- speed -->\nold\n<!-- /speed -->\n\nEnd.\n")
    for _ in range(2):
        tables.write_table("speed", ["part", "x"], [["decode", "585"]], readme)
    table = "| part   |   x |\n| ------ | --: |\n| decode | 585 |"
    assert readme.read_text() == f"Speed:\n\n<!-- speed -->\n{table}\n<!-- /speed -->\n\nEnd.\n"
    with pytest.raises(ValueError, match="no one place"):
        tables.write_table("size", ["part", "x"], [], readme)


def test_a_goal_is_met_or_missed():
    assert [tables.verdict(v, 2) for v in (1, 2, 3)] == ["MISSED", "met", "met"]
    assert [tables.verdict(v, 2, at_most=True) for v in (1, 2, 3)] == ["met", "met", "MISSED"]


def test_a_law_that_times_follow_is_found():
    law = capacity.Law(2e-4, 3e-8, 4e-9, share=0.01)

    def measured(n):
        probes = [2**i for i in range(9)]
        recalls = {p: 1 - 0.05 * law.cells_needed(n) / p for p in probes}  # a share of the cells tells it
        return capacity.Measured(n, cells_of(n), {p: law.seconds(n, p) for p in probes}, recalls)

    sizes = [measured(100_000), measured(1_000_000)]
    found = capacity.Law.of(sizes)
    assert (found.fixed, found.centre, found.code) == pytest.approx((2e-4, 3e-8, 4e-9), rel=0.01)
    assert found.cells_needed(10**9) == pytest.approx(law.cells_needed(10**9), rel=0.15)
    assert capacity.told_recall(sizes[-1], 10**7, 128) == pytest.approx(
        measured(10**7).recalls[128], abs=5e-3
    )


def test_every_part_is_there():
    assert all((ROOT / "benchmarks" / f"{part}.py").is_file() for part in every.PARTS)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    return indexing.write_recordings(tmp_path_factory.mktemp("recordings"), 0.2, 1)


def test_parts_and_whole_have_a_cost(recordings, tmp_path):
    corpus = indexing.copy_recordings(recordings, tmp_path / "corpus", 2)
    parts = indexing.run_parts(corpus, ["spectral"])
    assert set(parts) == {"decode to mono", "resample", "windows", "front ends", "model spectral"}
    assert all(cost.cpu > 0 and cost.wall > 0 for cost in parts.values())
    whole = indexing.measure_indexing(corpus[0].parent, ["spectral"], 1)
    assert whole.cpu > 0


def test_a_joined_recording_is_as_long_as_its_parts(recordings, tmp_path):
    long = tmp_path / "long.mp3"
    indexing.join_recordings(recordings, long, 5)
    samples, info = read_audio(long, 16_000)
    assert info.lost == ""
    assert info.duration == pytest.approx(5 * 12, abs=0.5)
    assert np.abs(samples).max() > 0.1


def test_memory_is_that_of_parent_and_worker(recordings):
    found = indexing.measure_memory(recordings[0], ["spectral"])
    assert 20 < found.worker < found.total < 1000
    assert found.wall > 0.1


def test_the_library_of_cold_start_finds_its_known_file_and_is_sound(tmp_path):
    known = tmp_path / "known.wav"
    cold_start.write_query(known, "bells")
    cold_start.fill_library(tmp_path / "library", "spectral", load_encoder("spectral").spec, 300, known)
    with Library(tmp_path / "library") as library:
        assert library.check() == []
        hits = library.search(known, k=3)
        assert library.search(known, k=1, include_query=True)[0].path == str(known)
    assert [hit.path != str(known) for hit in hits] == [True] * 3


def row(path, dataset, split, label, speaker="", licence=retrieval.FREE):
    names = ("path", "dataset", "split", "label", "speaker", "licence")
    return dict(zip(names, (path, dataset, split, label, speaker, licence), strict=True))


def test_retrieval_tasks_ask_with_what_was_held_out_and_leave_out_the_source():
    rows = [
        row("esc50/4-11-A-0.opus", "esc50", "fold4", "dog"),
        row("esc50/4-11-B-0.opus", "esc50", "fold4", "dog"),
        row("esc50/4-12-A-0.opus", "esc50", "fold4", "dog", licence="CC-BY-NC"),
        row("esc50/1-13-A-0.opus", "esc50", "fold1", "dog"),
        row("instruments/banjo/banjo_A5_long_piano.opus", "instruments", "", "banjo"),
        row("instruments/banjo/banjo_Fs3_long_piano.opus", "instruments", "", "banjo"),
        row("words/go/1.opus", "words_arabic", "train", "go", "ar01"),
    ]
    across, free, within, notes = retrieval.make_tasks(rows)
    assert [len(across.queries), len(across.searched)] == [3, 1]
    assert [len(free.queries), len(free.searched)] == [1, 3]
    assert [within.source(query) for query in within.queries] == ["11", "11", "12"]
    assert [notes.source(query) for query in notes.queries] == ["banjo A5"]


def test_retrieval_does_not_measure_on_what_a_model_has_heard(tmp_path):
    rows = [row(f"esc50/4-{i}-A-{i % 2}.ogg", "esc50", "fold4", "ab"[i % 2]) for i in range(8)]
    tasks = {task.name: task for task in retrieval.make_tasks(rows)}
    within = tasks["ESC-50: within fold 4, not in the clip's own recording"]
    model = tmp_path / "m.onnx"
    model.touch()
    for folds, heard in ((["fold1"], False), (["fold1", "fold4"], True)):
        model.with_suffix(".json").write_text(json.dumps({"training": {"data": {"folds_of_esc50": folds}}}))
        assert within.heard_by(str(model)) is heard
    assert not within.heard_by("spectral")


def test_retrieval_measures_what_is_there():
    rows = [row(f"esc50/4-{i}-A-0.opus", "esc50", "fold4", "dog" if i < 3 else "cat") for i in range(6)]
    vectors = {r["path"]: np.eye(2, dtype=np.float32)[int(r["label"] == "dog")] for r in rows}
    (task,) = retrieval.make_tasks(rows)
    # Two others of its label are there: both come first, and lose the vote of five to the three strangers.
    assert retrieval.measure(task, vectors) == [
        "6",
        "0.000 (0.000 to 0.000)",
        "1.000 (1.000 to 1.000)",
        "1.000 (1.000 to 1.000)",
    ]


def test_absent_audio_is_one_clear_sentence(tmp_path):
    command = [sys.executable, "-m", "benchmarks.retrieval", "--data", str(tmp_path / "gone")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
    assert "--data DIR or $ECHOIC_DATA" in done.stderr


def test_a_second_hit_of_a_call_is_a_false_alarm():
    planted = [occurrences.Planted("owl", 0, at, at + 2, level) for at, level in ((10, 6.0), (50, -3.0))]
    spans = [(10.1, 12.1, 0.9), (10.9, 12.0, 0.8), (30, 32, 0.7), (50, 52, 0.6), (70, 72, 0.5)]
    found = [occurrences.Found(0, *span) for span in spans]
    which, scores = occurrences.matched(found, planted, "owl")
    assert which.tolist() == [0, -1, -1, 1, -1]
    asked = [occurrences.Asked("owl", found, which, scores)]
    told = occurrences.figures(asked, planted, hours=2)
    assert (told["loud"], told["faint"]) == (1, 1)
    assert told["precision"] == pytest.approx((1 + 2 / 4) / 2)
    assert occurrences.figures(asked, planted, hours=1)["faint"] == 0
    assert told["ends"] == pytest.approx(0.05)


def test_faults_lose_nothing(tmp_path):
    """Kills, full disks and libraries that may only be read have tests of their own, under integration."""
    rng = np.random.default_rng(1)
    for make in (faults.clock_backwards, faults.two_writers):
        counts = make(tmp_path, 1, rng)
        assert (counts["made"], counts["recovered"]) == (1, 1)
        assert not counts["lost"] + counts["unsound"] + counts["other"]
    found = faults.flipped_bits(tmp_path, 1, rng)
    assert {what: counts["told"] + counts["harmless"] for what, counts in found.items()} == dict.fromkeys(
        found, 1
    )
    assert [found[what]["told"] for what in ("cache", "model", "backup")] == [1, 1, 1]
    assert all(counts["recovered"] == 1 for counts in found.values())
