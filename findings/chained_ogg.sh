#!/usr/bin/env bash
# Chained Ogg, as recorders of web radio write it: two recordings in one file (PyAV 18.1.0, its own ffmpeg).
#
# Guess: a chain is part of the Ogg specification, so it is read to its end, or fails; a seek that succeeds leads
# to the time that was asked for.
# Seen: links of one format are read, and a seek into the second "succeeds" and gives the first. Where the second
# has another sample rate, decoding stops at the joint with PatchWelcomeError.
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

SECONDS = 10


def link(name, hertz, rate):
    path = f"{sys.argv[1]}/{name}"
    tone = (0.5 * np.sin(2 * np.pi * hertz * np.arange(SECONDS * rate) / rate)).astype(np.float32)
    with av.open(path, "w", format="ogg") as out:
        stream = out.add_stream("vorbis", rate=rate)
        stream.layout = "stereo"
        stream.options = {"strict": "experimental"}
        for at in range(0, len(tone), 1_024):
            samples = np.ascontiguousarray(np.stack([tone[at : at + 1_024]] * 2))
            frame = av.AudioFrame.from_ndarray(samples, "fltp", "stereo")
            frame.sample_rate, frame.pts, frame.time_base = rate, at, Fraction(1, rate)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    with open(path, "rb") as file:
        return file.read()


def chain(name, *links):
    path = f"{sys.argv[1]}/{name}"
    with open(path, "wb") as file:
        file.write(b"".join(links))
    return path


def decoded(path):
    seconds, error = 0.0, "no error"
    with av.open(path) as container:
        try:
            for frame in container.decode(audio=0):
                seconds += frame.samples / frame.sample_rate
        except av.error.FFmpegError as raised:
            error = type(raised).__name__
    return seconds, error


def heard_after_a_seek(path, second):
    with av.open(path) as container:
        track = container.streams.audio[0]
        container.seek(int(second / track.time_base), stream=track)
        frames = [frame.to_ndarray()[0] for frame, _ in zip(container.decode(track), range(30))]
    samples = np.concatenate(frames)
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return spectrum.argmax() * 44_100 / len(samples)


low, high = link("low.ogg", 500, 44_100), link("high.ogg", 2_000, 44_100)
same = chain("same.ogg", low, high)
other = chain("other.ogg", low, link("other_rate.ogg", 2_000, 22_050))
print(f"PyAV {av.__version__}")
print("two links of one format: %.1f s, %s" % decoded(same))
hertz = heard_after_a_seek(same, 15)
print(f"after a seek to 15 s, where 2000 Hz play: {hertz:.0f} Hz")
print("then a link of another rate: %.1f s of 20 s, %s" % decoded(other))
seconds, error = decoded(other)
sys.exit(not (decoded(same)[0] > 19 and hertz < 600 and seconds < 11 and error == "PatchWelcomeError"))
PYTHON
