#!/usr/bin/env bash
# A constant offset ("DC", as cheap recorders add it) through AAC and Vorbis (PyAV 18.1.0, its own ffmpeg).
#
# Guess: an offset comes out as an offset, or is gone; nothing that could be heard is made of it.
# Seen: both encoders make of a constant a hum at the rate of their blocks of 1,024 samples, 43 Hz at 44.1 kHz, where
# bass notes are: of .3 Vorbis one that peaks at -47 dBFS, AAC one at -76. MP3 and FLAC give the constant back.
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

RATE, SECONDS, OFFSET, BLOCK = 44_100, 10, 0.3, 1_024


def through(name, codec, sample_format):
    path = f"{sys.argv[1]}/{name}"
    sound = np.full(SECONDS * RATE, OFFSET)
    dtype = np.float32 if "flt" in sample_format else np.int16
    sound = (sound if dtype is np.float32 else np.round(32_767 * sound)).astype(dtype)
    with av.open(path, "w") as out:
        stream = out.add_stream(codec, rate=RATE)
        stream.layout = "stereo"
        stream.options = {"strict": "experimental"}
        fifo = av.AudioFifo()
        for at in range(0, len(sound), BLOCK):
            part = np.stack([sound[at : at + BLOCK]] * 2)
            part = np.ascontiguousarray(part if sample_format.endswith("p") else part.T.reshape(1, -1))
            frame = av.AudioFrame.from_ndarray(part, sample_format, "stereo")
            frame.sample_rate, frame.pts, frame.time_base = RATE, at, Fraction(1, RATE)
            fifo.write(frame)
            while (ready := fifo.read(stream.codec_context.frame_size or BLOCK)) is not None:
                out.mux(stream.encode(ready))
        out.mux(stream.encode(None))
    with av.open(path) as container:
        as_float = av.AudioResampler("fltp", "mono", RATE)
        frames = [ready for frame in container.decode(audio=0) for ready in as_float.resample(frame)]
    heard = np.concatenate([frame.to_ndarray()[0] for frame in frames])[2 * RATE : 8 * RATE]
    return heard.astype(np.float64)


def report(name, heard):
    swing = heard - heard.mean()
    spectrum = np.abs(np.fft.rfft(swing * np.hanning(len(swing))))
    loudest = np.argmax(spectrum) * RATE / len(swing)
    peak = 20 * np.log10(max(np.abs(swing).max(), 1e-9))
    print(f"{name}: mean {heard.mean():.3f}, what swings: peak {peak:.0f} dBFS, loudest at {loudest:.1f} Hz")
    return peak, loudest


found = {
    name: report(name, through(*arguments))
    for name, arguments in {
        "AAC": ("a.m4a", "aac", "fltp"),
        "Vorbis": ("a.ogg", "vorbis", "fltp"),
        "MP3": ("a.mp3", "libmp3lame", "fltp"),
        "FLAC": ("a.flac", "flac", "s16"),
    }.items()
}
blocks = RATE / BLOCK
for name, least in (("AAC", -90), ("Vorbis", -65)):
    peak, loudest = found[name]
    assert peak > least and abs(loudest - blocks) < 1, f"{name} has changed"
for name in ("MP3", "FLAC"):
    assert found[name][0] < -85, f"{name} has changed"
PYTHON
