"""How much memory a process takes that encodes sound.

``python -m echoic.advice.footprint NAME`` is that process: it loads an encoder, encodes one window of noise,
and tells the most that it ever took.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

from echoic.encoders.registry import load_encoder, spell_out
from echoic.errors import EncoderError

__all__ = ["process_memory"]

_STATUS = Path("/proc/self/status")
_MOST = "VmHWM:"  # kB; unlike what getrusage tells, not that of the process before exec()
_PATIENCE = 120.0  # s


def process_memory(name: str) -> float | None:
    """Measure the megabytes that a process takes which encodes by an encoder; None where no system tells.

    Raises
    ------
    EncoderError
        If it fails, or takes more than two minutes.
    """
    if not _STATUS.exists():
        return None
    command = [sys.executable, "-P", "-m", __name__, spell_out(name)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        raise EncoderError(f"encoder {name} took more than {_PATIENCE:g} s for one window") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise EncoderError(f"encoder {name} failed in a process of its own ({last})")
    return int(done.stdout) * 1024 / 1e6


def _main(name: str) -> None:
    from echoic.analysis.pipeline import embed_samples

    encoder = load_encoder(name)
    spec = encoder.spec
    noise = np.random.default_rng(0).normal(0, 0.1, spec.window_samples).astype(np.float32)
    embed_samples([noise], spec.sample_rate, {name: encoder})
    [most] = [line.split()[1] for line in _STATUS.read_text().splitlines() if line.startswith(_MOST)]
    sys.stdout.write(most)


if __name__ == "__main__":
    _main(sys.argv[1])
