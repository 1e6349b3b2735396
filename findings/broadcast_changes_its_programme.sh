#!/usr/bin/env bash
# A broadcast (MPEG-TS) whose programme changes, as one recording put behind another (PyAV 18.1.0, its own ffmpeg).
#
# Guess: a transport stream may change its programme at any time, so a demuxer that is asked for one track goes on
# with the new one, or ends without it.
# Seen: the streams of the second programme appear in ffmpeg alone. PyAV, asked to demux the track that it knows,
# raises IndexError at the first packet of one, which is no FFmpegError; of two recordings of 6 s, 6 s are heard.
# Opened at the place where it changes, the rest plays.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install --disable-pip-version-check av==18.1.0 numpy==2.2.6
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import io
import sys
from fractions import Fraction

import av
import numpy as np

RATE, SECONDS = 48_000, 6


def recording(name, hertz, options):
    path = f"{sys.argv[1]}/{name}"
    tone = (8_000 * np.sin(2 * np.pi * hertz * np.arange(SECONDS * RATE) / RATE)).astype(np.int16)
    with av.open(path, "w", format="mpegts", options=options) as out:
        video = out.add_stream("mpeg2video", rate=25)
        video.width, video.height, video.pix_fmt = 64, 64, "yuv420p"
        sound = out.add_stream("mp2", rate=RATE)
        sound.layout = "mono"
        for number in range(25 * SECONDS):
            picture = av.VideoFrame.from_ndarray(np.full((64, 64, 3), number % 256, np.uint8), "rgb24")
            picture.pts, picture.time_base = number, Fraction(1, 25)
            out.mux(video.encode(picture))
        for at in range(0, len(tone), 1_152):
            frame = av.AudioFrame.from_ndarray(tone[None, at : at + 1_152], "s16", "mono")
            frame.sample_rate, frame.pts, frame.time_base = RATE, at, Fraction(1, RATE)
            out.mux(sound.encode(frame))
        out.mux(video.encode(None))
        out.mux(sound.encode(None))
    with open(path, "rb") as file:
        return file.read()


def heard(data):
    seconds, ending = 0.0, "no error"
    with av.open(io.BytesIO(data)) as container:
        track = container.streams.audio[0]
        try:
            for packet in container.demux(track):
                seconds += sum(frame.samples / frame.sample_rate for frame in packet.decode())
        except Exception as error:
            ending = type(error).__name__
    return seconds, ending


first = recording("a.ts", 440, {})
second = recording(
    "b.ts", 660, {"mpegts_service_id": "7", "mpegts_pmt_start_pid": "512", "mpegts_start_pid": "640"}
)
joined, alone = heard(first + second), heard(second)
print(f"both: {joined[0]:.1f} s, then {joined[1]}")
print(f"the second alone: {alone[0]:.1f} s, then {alone[1]}")
assert abs(joined[0] - SECONDS) < 0.2 and joined[1] == "IndexError", "it has changed"
assert abs(alone[0] - SECONDS) < 0.2 and alone[1] == "no error", "it has changed"
PYTHON
