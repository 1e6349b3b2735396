"""``whisper``: the encoder of a network that writes down speech in a hundred languages.

It listens to 30 s at a time, and to shorter clips as to 30 s that end in silence. A window has for its vector
the mean of what it gives over the time that sound covers.

References
----------
Radford et al., "Robust speech recognition via large-scale weak supervision", ICML 2023.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import WhisperFeatureExtractor, WhisperModel
from transformers.audio_utils import window_function

from echoic.encoders.families import Family
from echoic.errors import WeightsError
from echoic.pretrained.built import Built
from echoic.pretrained.checkpoint import front_end, network
from echoic.pretrained.front import Spectra, covered, mean_of, unit

__all__ = ["build"]

_FRAMES = 2  # of the spectrogram, for each of the encoder's


class Whisper(nn.Module):
    """(n, samples) → (n, hidden) of length 1."""

    def __init__(self, encoder: nn.Module, extractor: Any) -> None:
        super().__init__()
        self.encoder = encoder
        self.step = extractor.hop_length * _FRAMES
        taper = window_function(extractor.n_fft, "hann")
        self.power = Spectra(taper, extractor.n_fft, extractor.hop_length, centred=True)
        bank = torch.from_numpy(extractor.mel_filters.T.astype("float32"))
        self.register_buffer("bank", bank, persistent=False)

    def seen(self, samples: Tensor) -> Tensor:
        """Return the spectrogram, (n, bands, frames), of 80 dB below the loudest of each window."""
        mel = self.get_buffer("bank") @ self.power(samples)[:, :, :-1]
        levels = mel.clamp(min=1e-10).log10()
        floor = levels.amax(dim=(1, 2), keepdim=True) - 8
        return (torch.maximum(levels, floor) + 4) / 4

    def forward(self, samples: Tensor) -> Tensor:
        n = torch.div(covered(samples) + self.step - 1, self.step, rounding_mode="floor").clamp(min=1)
        return unit(mean_of(self.encoder(self.seen(samples)).last_hidden_state, n))


def build(paths: Sequence[Path], family: Family) -> Built:
    """Read a checkpoint.

    Raises
    ------
    WeightsError
        If it is another's.
    """
    folder = paths[0].parent
    extractor = front_end(WhisperFeatureExtractor, folder)
    encoder = network(WhisperModel, folder).encoder
    window = extractor.chunk_length
    frames, bands = window * extractor.sampling_rate // extractor.hop_length, len(extractor.mel_filters.T)
    if (frames, bands) != (_FRAMES * encoder.config.max_source_positions, encoder.config.num_mel_bins):
        raise WeightsError(
            f"the front end of {family.name} gives {bands} × {frames}, which its weights do not take"
        )
    return Built(Whisper(encoder, extractor).eval(), extractor.sampling_rate, float(window), window / 2)
