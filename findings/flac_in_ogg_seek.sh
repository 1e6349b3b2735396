#!/usr/bin/env bash
# FLAC in Ogg: after a seek, the first frames carry a time that is not theirs (PyAV 18.1.0, its own ffmpeg).
#
# Guess: FLAC is lossless and its frames are numbered, so a frame's time stamp after a seek is exact.
# Seen: where loudness varies, frames decoded straight after a seek say a time that is up to a page (a second)
# later than theirs, until that page ends. The same samples in a plain .flac are where they say.
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

RATE, SECONDS = 44_100, 60
random = np.random.default_rng(0)
loudness = np.repeat(random.uniform(5, 5_000, 4 * SECONDS), RATE // 4)
noise = (random.normal(0, 1, RATE * SECONDS) * loudness).clip(-32_000, 32_000).astype(np.int16)


def written(container_format, name):
    path = f"{sys.argv[1]}/{name}"
    with av.open(path, "w", format=container_format) as out:
        stream = out.add_stream("flac", rate=RATE)
        stream.layout = "mono"
        for at in range(0, len(noise), 4_608):
            frame = av.AudioFrame.from_ndarray(noise[None, at : at + 4_608], "s16", "mono")
            frame.sample_rate, frame.pts, frame.time_base = RATE, at, Fraction(1, RATE)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def worst(path):
    """Seek to every second; return the largest distance of a frame from where its time stamp says, in seconds."""
    found = 0.0
    for second in range(1, SECONDS - 1):
        with av.open(path) as container:
            track = container.streams.audio[0]
            container.seek(int(second / track.time_base), stream=track)
            frame = next(container.decode(track))
            said = round(frame.pts * track.time_base * RATE)
            heard = frame.to_ndarray()[0][:64].tobytes()
            true = noise.tobytes().find(heard) // 2
            found = max(found, abs(true - said) / RATE)
    return found


plain, in_ogg = worst(written("flac", "a.flac")), worst(written("ogg", "a.oga"))
print(f"PyAV {av.__version__}: a frame after a seek lies up to {plain:.3f} s (.flac) and {in_ogg:.3f} s (.oga) from its time")
sys.exit(not (plain == 0 and in_ogg > 0.5))
PYTHON
