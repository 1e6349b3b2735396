"""Parts of recordings are learnt from as if they were files."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs torch: pip install 'echoic[train]'")

from echoic.audio.encode import write_audio
from echoic.datasets import read_dataset
from echoic.training.cache import AudioCache
from echoic.training.train import prepare

RATE = 8_000


def test_only_the_part_is_learnt_from(tmp_path):
    for number in range(3):
        rng = np.random.default_rng(number)
        write_audio(tmp_path / f"{number}.wav", rng.normal(0, 0.1, 4 * RATE).astype(np.float32), RATE)
        (tmp_path / f"{number}.txt").write_text("0.5\t1\tdog\n2\t9\tcat\n50\t51\tcat\n", "utf-8")
    dataset = read_dataset(tmp_path)
    cache = AudioCache(tmp_path / "cache")
    prepared = prepare(dataset, sample_rate=RATE, validation=0, cache=cache)
    found, _ = cache.fill([tmp_path / "0.wav"], RATE)
    whole = found[tmp_path / "0.wav"].read()
    at = [row for row, path in enumerate(prepared.train_paths) if path.name == "0.wav"]
    sounds = [prepared.train.audio[row].read() for row in at]
    assert [prepared.train.labels[row] for row in at] == ["dog", "cat"]
    np.testing.assert_array_equal(sounds[0], whole[RATE // 2 : RATE])
    np.testing.assert_array_equal(sounds[1], whole[2 * RATE :])
    assert len(prepared.failed) == 3
    assert "ends before 50 s" in next(iter(prepared.failed.values()))
