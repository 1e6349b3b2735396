#!/usr/bin/env bash
# Features of PE-AV's front end, by key and by attribute (transformers 5.24.0).
#
# Guess: features.input_values and features["input_values"] are the same, as of other feature extractors, and both
# are tensors where return_tensors="pt" asks for them.
# Seen: by key it is a tensor, by attribute a NumPy array from before it was converted, which a model refuses. Of the
# mask both are the tensor.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install --disable-pip-version-check transformers==5.24.0 torch==2.13.0 numpy==2.2.6 2>/dev/null
"$folder/venv/bin/python" - <<'PYTHON' 2>/dev/null
import numpy as np
from transformers import ClapFeatureExtractor, PeAudioFeatureExtractor

clip = np.random.default_rng(0).normal(0, 0.1, 48_000).astype(np.float32)


def kinds(extractor, name):
    features = extractor([clip], sampling_rate=48_000, return_tensors="pt")
    return type(features[name]).__name__, type(getattr(features, name)).__name__


seen = {
    "PE-AV's samples": kinds(PeAudioFeatureExtractor(), "input_values"),
    "PE-AV's mask": kinds(PeAudioFeatureExtractor(), "padding_mask"),
    "CLAP's spectrogram": kinds(ClapFeatureExtractor(), "input_features"),
}
for what, (by_key, by_attribute) in seen.items():
    print(f"{what}: by key {by_key}, by attribute {by_attribute}")
assert list(seen.values()) == [("Tensor", "ndarray"), ("Tensor", "Tensor"), ("Tensor", "Tensor")]
PYTHON
