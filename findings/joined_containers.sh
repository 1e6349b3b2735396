#!/usr/bin/env bash
# Two files put behind each other in one, as `cat` does it (PyAV 18.1.0, its own ffmpeg).
#
# Guess: a demuxer ends with the first file, says that more follows, or reads the second as the file that it is.
# Seen: FLV and CAF end with the first, without a word. Matroska goes on with the packets of the second and gives them to
# the decoder of the first: of the same codec they sound, of another nothing does, without a word either.
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

SECONDS, RATE = 4, 48_000


def made(container, codec, sample_format):
    path = f"{sys.argv[1]}/part"
    tone = 0.5 * np.sin(0.05 * np.arange(SECONDS * RATE))
    samples = tone.astype(np.float32) if sample_format.startswith("flt") else (32_767 * tone).astype(np.int16)
    with av.open(path, "w", format=container) as out:
        stream = out.add_stream(codec, rate=RATE)
        stream.layout = "mono"
        fifo = av.AudioFifo()
        frame = av.AudioFrame.from_ndarray(samples[None], sample_format, "mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
        fifo.write(frame)
        while (ready := fifo.read(stream.codec_context.frame_size or 1_024, partial=True)) is not None:
            out.mux(stream.encode(ready))
        out.mux(stream.encode(None))
    with open(path, "rb") as file:
        return file.read()


def heard(*parts):
    path = f"{sys.argv[1]}/joined"
    with open(path, "wb") as file:
        file.write(b"".join(parts))
    seconds, n_errors = 0.0, 0
    with av.open(path) as container:
        for packet in container.demux(container.streams.audio[0]):
            try:
                frames = packet.decode()
            except av.error.FFmpegError:
                n_errors += 1
                continue
            seconds += sum(frame.samples / frame.sample_rate for frame in frames)
    return round(seconds), n_errors


flac, pcm = made("matroska", "flac", "s16"), made("matroska", "pcm_s16le", "s16")
found = {
    "flv": heard(*[made("flv", "libmp3lame", "fltp")] * 2),
    "caf": heard(*[made("caf", "pcm_s16be", "s16")] * 2),
    "matroska of one codec": heard(flac, flac),
    "matroska of two": heard(flac, pcm),
}
for name, (seconds, n_errors) in found.items():
    print(f"{name}: {seconds} s of {2 * SECONDS} are heard, {n_errors} packets are refused")
seconds = [seconds for seconds, _ in found.values()]
assert seconds == [SECONDS, SECONDS, 2 * SECONDS, SECONDS], seconds
PYTHON
