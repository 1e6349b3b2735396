#!/usr/bin/env bash
# Reading one part of PE-AV's configuration (transformers 5.24.0).
#
# Guess: config.video_config tells a part of the configuration, and leaves it as it is.
# Seen: it is made anew each time that it is read, out of the text's configuration itself, whose choice of an attention
# is erased by that.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install --disable-pip-version-check transformers==5.24.0 numpy==2.2.6 2>/dev/null
"$folder/venv/bin/python" - <<'PYTHON' 2>/dev/null
from transformers import PeAudioVideoConfig

config = PeAudioVideoConfig()
config._attn_implementation = "eager"
before = config.text_config._attn_implementation
first, second = config.video_config, config.video_config
after = config.text_config._attn_implementation
print(f"attention of the text: {before}, then {after}; the same part twice: {first is second}")
assert (before, after) == ("eager", None)
assert first is not second
assert first.text_config is config.text_config
PYTHON
