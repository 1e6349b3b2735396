"""What ``import echoic`` costs and shows."""

from __future__ import annotations

import subprocess
import sys

import pytest

import echoic

HEAVY = (
    "torch",
    "transformers",
    "psycopg",
    "pymilvus",
    "librosa",
    "fastapi",
    "onnxruntime",
    "faiss",
    "av",
    "scipy",
)


def test_importing_echoic_loads_nothing_heavy():
    code = "import sys; from echoic import *; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "numpy" in loaded.stdout.split()
    assert not set(HEAVY) & set(loaded.stdout.split())


def test_importing_echoic_takes_no_time_until_something_of_it_is_used():
    code = "import sys, echoic; print(*sys.modules); echoic.Library; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, after = map(str.split, loaded.stdout.splitlines())
    assert [name for name in before if name.startswith("echoic.")] == []
    assert "echoic.library" in after


def test_what_is_not_of_it_is_told_as_of_any_module():
    with pytest.raises(AttributeError, match="module 'echoic' has no attribute 'absent'"):
        _ = echoic.absent
    assert set(echoic.__all__) <= set(dir(echoic))


def test_public_face_is_what_it_is_meant_to_be():
    assert set(echoic.__all__) == {
        "Advice",
        "AudioError",
        "AudioInfo",
        "Candidate",
        "Concept",
        "Cue",
        "Duplicate",
        "EchoicError",
        "Encoder",
        "EncoderError",
        "EncoderSpec",
        "FileRecord",
        "FrontEnd",
        "HeardSpan",
        "Hit",
        "IndexReport",
        "Library",
        "LibraryBusyError",
        "LibraryError",
        "LiveSound",
        "LogMel",
        "Match",
        "MissingDependencyError",
        "NotAudioError",
        "Note",
        "PhraseHit",
        "Progress",
        "Repeat",
        "Segments",
        "SharedStretch",
        "SourceStatus",
        "Status",
        "StoreError",
        "Taught",
        "TextEncoder",
        "TimeAlignment",
        "Transcript",
        "UnknownEncoderError",
        "UnreadableError",
        "UsageError",
        "VoiceSpan",
        "Waveform",
        "Word",
        "__version__",
        "align",
        "describe",
        "embed",
        "embed_stream",
        "find_repeats",
        "recommend",
        "transcribe",
        "who_speaks",
    }
    for name in echoic.__all__:
        assert getattr(echoic, name) is not None
