"""What ``import echoic`` costs and shows."""

from __future__ import annotations

import subprocess
import sys

import echoic

HEAVY = ("torch", "transformers", "pymilvus", "librosa", "fastapi", "onnxruntime", "faiss", "av", "scipy")


def test_importing_echoic_loads_nothing_heavy():
    code = "import sys, echoic; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "numpy" in loaded.stdout.split()
    assert not set(HEAVY) & set(loaded.stdout.split())


def test_public_face_is_what_it_is_meant_to_be():
    assert set(echoic.__all__) == {
        "AudioError",
        "AudioInfo",
        "Duplicate",
        "EchoicError",
        "Encoder",
        "EncoderError",
        "EncoderSpec",
        "FileRecord",
        "FrontEnd",
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
        "Progress",
        "Segments",
        "SharedStretch",
        "Status",
        "StoreError",
        "TextEncoder",
        "TimeAlignment",
        "UnknownEncoderError",
        "UnreadableError",
        "UsageError",
        "Waveform",
        "__version__",
        "align",
        "embed",
    }
    for name in echoic.__all__:
        assert getattr(echoic, name) is not None
