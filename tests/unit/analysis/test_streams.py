"""Sound that comes is encoded as a file of it is, window by window."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from echoic import LiveSound, UsageError, embed, embed_stream
from echoic.audio.encode import write_audio
from echoic.audio.synthesis import make_sound
from echoic.cli import app

RATE = 16_000


@pytest.fixture(scope="module")
def rain(tmp_path_factory):
    path = tmp_path_factory.mktemp("stream") / "rain.wav"
    write_audio(path, np.resize(make_sound("rain", 0, sample_rate=RATE), 11 * RATE), RATE)
    return path


@pytest.fixture(scope="module")
def indexed(rain):
    found, failed = embed([rain], jobs=1)
    assert not failed
    return found[str(rain)]


def live(rain, begun=0.0, seconds=0.5):
    from echoic.audio.decode import read_audio

    samples = read_audio(rain, RATE)[0]
    step = round(seconds * RATE)
    blocks = (samples[i : i + step] for i in range(0, len(samples), step))
    return LiveSound("somewhere", begun, RATE, blocks)


@pytest.mark.parametrize("seconds", [0.013, 0.5, 30.0])
def test_a_stream_has_the_vectors_of_a_file(rain, indexed, seconds):
    found = list(embed_stream(live(rain, seconds=seconds)))
    np.testing.assert_allclose(np.concatenate([one.starts for one in found]), indexed.starts, atol=1e-6)
    np.testing.assert_allclose(np.concatenate([one.ends for one in found]), indexed.ends, atol=1e-6)
    cosines = (np.concatenate([one.vectors for one in found]) * indexed.vectors).sum(axis=1)
    assert cosines.min() > 0.9999


def test_a_window_is_told_once_its_sound_has_come(rain):
    heard = 0.0

    def counted(blocks):
        nonlocal heard
        for block in blocks:
            heard += len(block) / RATE
            yield block

    sound = live(rain)
    told = [
        (one.ends[-1], heard) for one in embed_stream(LiveSound(sound.name, 0.0, RATE, counted(sound.blocks)))
    ]
    for end, so_far in told[:-1]:
        assert end <= so_far <= end + 1.0  # a block, and what the resampler holds back


def test_times_count_from_when_listening_began(rain, indexed):
    first = next(embed_stream(live(rain, begun=100.0)))
    np.testing.assert_allclose(first.starts[0], 100.0 + indexed.starts[0])


def test_an_encoder_of_frames_or_events_is_refused(rain):
    with pytest.raises(UsageError, match="'events' gives a vector for each event"):
        embed_stream(rain, encoder="events")


def test_the_command_prints_a_line_a_window(rain, indexed):
    for source, given in ((str(rain), None), ("-", rain.read_bytes())):
        told = CliRunner().invoke(app, ["embed", "--stream", source], input=given)
        assert told.exit_code == 0, told.output
        lines = [json.loads(line) for line in told.stdout.splitlines()]
        np.testing.assert_allclose([line["start"] for line in lines], indexed.starts, atol=1e-6)
        assert lines[0]["encoder"].startswith("sound@")
        np.testing.assert_allclose(lines[0]["vector"], indexed.vectors[0], atol=2e-3)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--stream"], "give an address, a file, - for standard input, or --mic"),
        (["--stream", "a.wav", "b.wav"], "--stream takes one source, not 2"),
        (["--stream", "a.wav", "-o", "a.npz"], "leave out --output"),
        (["a.wav"], "say where the vectors are to be written"),
        ([], "give files or folders to encode"),
        (["--device", "x", "a.wav"], "--device chooses a microphone"),
    ],
)
def test_what_makes_no_sense_is_a_sentence(arguments, said):
    told = CliRunner().invoke(app, ["embed", *arguments])
    assert told.exit_code == 2
    assert said in told.stderr
