#!/usr/bin/env bash
# Frames of MP3 and AAC whose sample rate changes: a recorded web radio (PyAV 18.1.0, its own ffmpeg).
#
# Guess: each frame of MPEG carries its sample rate, so decoded frames and time stamps follow it.
# Seen: in AAC (ADTS) the time stamps go on in steps of the first rate, so that they run away from the sound; in
# MP3 the first frame after the change is said to have the former rate.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install --disable-pip-version-check av==18.1.0 numpy==2.2.6
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys
from fractions import Fraction

import av
import numpy as np


def part(container_format, codec, rate, seconds=10):
    path = f"{sys.argv[1]}/part"
    options = {"write_xing": "0", "id3v2_version": "0"} if container_format == "mp3" else {}
    noise = np.random.default_rng(0).normal(0, 0.1, rate * seconds).astype(np.float32)
    with av.open(path, "w", format=container_format, container_options=options) as out:
        stream = out.add_stream(codec, rate=rate)
        stream.layout = "mono"
        for at in range(0, len(noise), rate):
            frame = av.AudioFrame.from_ndarray(noise[None, at : at + rate], "fltp", "mono")
            frame.sample_rate, frame.pts, frame.time_base = rate, at, Fraction(1, rate)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    with open(path, "rb") as file:
        return file.read()


def frames(data, name):
    path = f"{sys.argv[1]}/{name}"
    with open(path, "wb") as file:
        file.write(data)
    with av.open(path) as container:
        track = container.streams.audio[0]
        for packet in container.demux(track):
            try:
                decoded = track.codec_context.decode(packet)
            except av.error.InvalidDataError:
                continue
            yield from ((float(f.pts * track.time_base), f.samples, f.sample_rate) for f in decoded)


aac = list(frames(part("adts", "aac", 44_100) + part("adts", "aac", 22_050), "joined.aac"))
heard = sum(samples / rate for _, samples, rate in aac)
last, samples, rate = aac[-1]
stamped = last + samples / rate
print(f"PyAV {av.__version__}")
print(f"AAC, 44.1 then 22.05 kHz: {heard:.2f} s of samples, the time stamps end at {stamped:.2f} s")
mp3 = list(frames(part("mp3", "libmp3lame", 48_000) + part("mp3", "libmp3lame", 22_050), "joined.mp3"))
# Frames of 22.05 kHz have 576 samples, those of 48 kHz 1152.
wrong = [rate for _, samples, rate in mp3 if samples == 576 and rate != 22_050]
print(f"MP3, 48 then 22.05 kHz: frames of the second that are said to have the rate of the first: {wrong}")
sys.exit(not (heard - stamped > 4 and wrong == [48_000]))
PYTHON
