#!/usr/bin/env bash
# Opening a WAV of 16-bit PCM with the ffmpeg of PyAV 18.1.0.
#
# Guess: the header of a WAV says all that there is to know, so that it is opened in no time, as FLAC is.
# Seen: opening it takes several times what the same sound as FLAC takes of the processor, as ffmpeg looks for DTS and
# S/PDIF in up to 32 packets of 16-bit PCM, and asks all of its formats about what it has each time. With
# max_probe_packets=4 it takes a fraction of that, and tells the same codec.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install --disable-pip-version-check av==18.1.0 numpy==2.2.6
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys
import time

import av
import numpy as np

RATE = 16_000
samples = np.random.default_rng(0).integers(-9_000, 9_000, (1, 6 * RATE)).astype(np.int16)


def write(path, codec):
    with av.open(path, "w") as container:
        stream = container.add_stream(codec, rate=RATE, layout="mono")
        for at in range(0, samples.shape[1], 1_600):
            frame = av.AudioFrame.from_ndarray(samples[:, at : at + 1_600], format="s16", layout="mono")
            frame.sample_rate = RATE
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def milliseconds(path, **options):
    begun = time.process_time()
    for _ in range(100):
        with av.open(path, container_options=options) as container:
            codec = container.streams.audio[0].codec_context.name
    return (time.process_time() - begun) * 10, codec


wav, flac = write(f"{sys.argv[1]}/a.wav", "pcm_s16le"), write(f"{sys.argv[1]}/a.flac", "flac")
whole, codec = milliseconds(wav)
few, same = milliseconds(wav, max_probe_packets="4")
print(f"WAV {whole:.2f} ms, with four packets {few:.2f} ms, FLAC {milliseconds(flac)[0]:.2f} ms")
assert codec == same == "pcm_s16le"
assert whole > 2 * few
PYTHON
