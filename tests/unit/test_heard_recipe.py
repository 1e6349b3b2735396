"""How the head that tells kinds of sound is taught: what a window holds, and what is certain of a clip."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.recipes import of_the_recipe

RATE = 16_000


@pytest.fixture(scope="module")
def mixes():
    return of_the_recipe("heard", "mixes")


def test_a_piece_is_heard_where_it_is_not_buried(mixes):
    tracks = np.zeros((3, RATE), np.float32)
    tracks[1, : RATE // 2] = 0.1
    tracks[2, RATE // 4 :] = 0.1 * 10 ** (-15 / 20)
    heard = mixes.clear(tracks, RATE)
    assert heard.shape == (2, 50)
    np.testing.assert_allclose(heard[0], [1] * 25 + [0] * 25, atol=1e-4)
    # 15 dB below the other, and a little more below both; then alone.
    np.testing.assert_allclose(heard[1, 13:25], 0.49, atol=0.03)
    np.testing.assert_allclose(heard[1, 25:], 1, atol=1e-4)
    assert heard[1, :12].max() == 0


def test_a_window_tells_of_a_second_or_all_of_a_sound(mixes):
    heard = np.zeros((2, 250))
    heard[0, 50:200] = 1  # three seconds
    heard[1, 60:70] = 1  # a fifth of one
    np.testing.assert_allclose(mixes.told(heard, 0.0, 5.0), [1, 1])
    np.testing.assert_allclose(mixes.told(heard, 0.0, 1.3), [0.3, 0.5])
    np.testing.assert_allclose(mixes.told(heard, 4.0, 5.0), [0, 0])


def test_pieces_begin_and_end_with_sound():
    pieces = of_the_recipe("heard", "pieces")
    samples = np.zeros(3 * RATE, np.float32)
    samples[RATE : 2 * RATE] = np.sin(np.arange(RATE) * 0.2)
    assert pieces.audible(samples, RATE // 50) == (RATE, 2 * RATE)
    assert pieces.audible(np.zeros(RATE, np.float32), RATE // 50) is None
    for piece in pieces.cut(np.tile(samples, 4), RATE, np.random.default_rng(0)):
        assert np.abs(piece[: RATE // 50]).max() > 0.5 < np.abs(piece[-RATE // 50 :]).max()
        assert len(piece) <= pieces.LONGEST * RATE


def test_what_a_label_says_is_certain_and_so_is_what_that_is_one_of(tmp_path):
    pytest.importorskip("torch")
    train = of_the_recipe("heard", "train")
    names = ["Animal", "Dog", "Bark", "Music", "Silence"]
    rows = [f'{number},/m/{number},"{name}"\n' for number, name in enumerate(names)]
    (tmp_path / "audioset_527_labels.csv").write_text("index,mid,display_name\n" + "".join(rows), "utf-8")
    below = {"/m/0": ["/t/pets"], "/t/pets": ["/m/1"], "/m/1": ["/m/2"]}
    ontology = [{"id": mid, "child_ids": below.get(mid, [])} for mid in [*below, "/m/2", "/m/3", "/m/4"]]
    (tmp_path / "audioset_ontology.json").write_text(json.dumps(ontology), "utf-8")
    labels, kept, pairs = train.classes(tmp_path)
    assert labels == names[:4]
    assert pairs == [(1, 0), (2, 0), (2, 1)]
    pieces = {
        "logits": np.full((2, 5), -9, np.float16),
        "dataset": np.array(["esc50", "sfx"]),
        "label": np.array(["dog", "dog"]),
    }
    shown = train.shown_by(pieces, labels, kept, pairs)
    np.testing.assert_allclose(shown, [[0.97, 0.97, 0.97, 0], [0] * 4, [0] * 4], atol=1e-3)


def test_sureness_is_learnt():
    pytest.importorskip("torch")
    train = of_the_recipe("heard", "train")
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, 20_000).astype(np.float32)
    is_there = rng.random(20_000) < 1 / (1 + np.exp(-(0.5 * logits - 1)))
    np.testing.assert_allclose(train.sureness(logits, is_there), [0.5, -1], atol=0.06)
