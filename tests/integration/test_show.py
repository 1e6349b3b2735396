"""``echoic show``: what is drawn lies where it is heard."""

from __future__ import annotations

import base64
import io
import json
import re
from xml.etree import ElementTree

import av
import numpy as np
import pytest

from echoic.audio.encode import write_audio
from tests.integration.conftest import RATE, CommandsWithin


@pytest.fixture
def within(tmp_path):
    return CommandsWithin(tmp_path / "no-library")


@pytest.fixture
def tone(tmp_path):
    """Four seconds of nothing but a tone of 1 kHz from the second to the third."""
    samples = np.zeros(4 * RATE, np.float32)
    samples[2 * RATE : 3 * RATE] = 0.5 * np.sin(2 * np.pi * 1_000 * np.arange(RATE) / RATE)
    write_audio(tmp_path / "tone.wav", samples, RATE)
    return tmp_path / "tone.wav"


def pixels(png):
    with av.open(io.BytesIO(png)) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24").astype(int)


def test_a_tone_is_bright_where_it_is_heard(tone, within, tmp_path):
    within("show", tone, "-o", tmp_path / "whole.png")
    picture = pixels((tmp_path / "whole.png").read_bytes()).sum(axis=2)
    assert picture.shape == (400, 1200)
    bright = np.argwhere(picture > picture.max() * 0.9)
    assert bright[:, 1].min() == pytest.approx(600, abs=10)
    assert bright[:, 1].max() == pytest.approx(900, abs=10)
    assert np.median(bright[:, 0]) == pytest.approx(300, abs=4)  # of 4 kHz, from the top
    within("show", tone, "-o", tmp_path / "part.png", "--start", 2, "--end", 60)
    part = pixels((tmp_path / "part.png").read_bytes()).sum(axis=2)
    assert np.argwhere(part > part.max() * 0.9)[:, 1].max() == pytest.approx(600, abs=10)


def test_hits_and_labels_are_framed(tone, within, tmp_path):
    hits = tmp_path / "hits.json"
    rows = [
        {"path": str(tone), "start": 2, "end": 3, "score": 0.9},
        {"path": "other.wav", "start": 0, "end": 1},
    ]
    hits.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    track = tmp_path / "labels.txt"
    track.write_text("1\t2\t<knock> & Käuzchen\n\\\t1000\t2000\n", "utf-8")
    said = within("show", tone, "--hits", hits, "--labels", track, "-o", tmp_path / "a.svg").stdout
    assert said.endswith("a.svg: 0:00.0 to 0:04.0, 2 frames\n")
    root = ElementTree.parse(tmp_path / "a.svg").getroot()
    name = "{http://www.w3.org/2000/svg}"
    sides = ("x", "y", "width", "height")
    frames = [[float(one.get(side, 0)) for side in sides] for one in root.iter(f"{name}rect")]
    assert frames[1:] == [[56 + 600, 40, 300, 400], [56 + 300, 40 + 200, 300, 100]]
    assert {"tone.wav", "0.90", "<knock> & Käuzchen", "kHz"} <= {one.text for one in root.iter(f"{name}text")}
    [image] = re.findall(r"base64,([A-Za-z0-9+/=]+)", (tmp_path / "a.svg").read_text("utf-8"))
    assert pixels(base64.b64decode(image)).shape == (400, 1200, 3)
    within("show", tone, "--hits", hits, "-o", tmp_path / "a.png")
    picture = pixels((tmp_path / "a.png").read_bytes())
    assert [column for column in range(1200) if (picture[100, column] == (0x35, 0xE0, 0xFF)).all()] == [
        *(600, 601, 898, 899)
    ]
    said = within("show", tone, "--hits", hits, "--end", 1, "-o", tmp_path / "b.svg").stderr
    assert "none of what was found" in said


def test_what_cannot_be_drawn_is_said(tone, within, tmp_path):
    assert "-o OUT.svg" in within("show", tone, code=2).stderr
    assert "-o OUT.svg" in within("show", tone, "-o", tmp_path / "a.jpg", code=2).stderr
    assert "does not exist" in within("show", tmp_path / "gone.wav", "-o", tmp_path / "a.svg", code=1).stderr
    assert "ends before 9 s" in within("show", tone, "--start", 9, "-o", tmp_path / "a.svg", code=2).stderr
    asked = ["show", tone, "-o", tmp_path / "a.svg"]
    assert "cannot be read" in within(*asked, "--hits", tmp_path / "gone", code=1).stderr
    assert "cannot be read" in within(*asked, "--labels", tmp_path / "gone", code=1).stderr
    (tmp_path / "bad").write_text("x\n", "utf-8")
    assert "line 1 is no hit" in within(*asked, "--hits", tmp_path / "bad", code=2).stderr
    assert "line 1 of the labels" in within(*asked, "--labels", tmp_path / "bad", code=2).stderr
    assert not (tmp_path / "a.svg").exists()
    (tmp_path / "a.svg").write_text("mine")
    assert "is there already" in within(*asked, code=2).stderr
    assert (tmp_path / "a.svg").read_text() == "mine"
