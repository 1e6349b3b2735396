"""``ast``: a transformer on patches of a spectrogram, taught the 527 kinds of sound of AudioSet.

A window's vector is what the network's head for classes is given.

References
----------
Gong, Chung and Glass, "AST: Audio Spectrogram Transformer", Interspeech 2021.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import ASTFeatureExtractor, ASTModel
from transformers.audio_utils import window_function

from echoic.encoders.families import Family
from echoic.errors import WeightsError
from echoic.pretrained.built import Built
from echoic.pretrained.checkpoint import front_end, network
from echoic.pretrained.front import Spectra, covered, kaldi, mel_bank, sound, unit

__all__ = ["build"]

# Kaldi's, as the extractor has them in its code.
_SIZE, _HOP, _N_FFT, _FMIN, _PREEMPHASIS = 400, 160, 512, 20, 0.97
_FLOOR = 1.192092955078125e-07


class SpectrogramTransformer(nn.Module):
    """(n, samples) → (n, hidden) of length 1."""

    def __init__(self, model: nn.Module, extractor: Any) -> None:
        super().__init__()
        self.model = model
        self.n_frames: int = extractor.max_length
        self.levels = (extractor.mean, 2 * extractor.std) if extractor.do_normalize else (0.0, 1.0)
        taper = window_function(_SIZE, "hann", periodic=False)
        self.power = Spectra(taper, _N_FFT, _HOP, before=kaldi(_SIZE, _PREEMPHASIS))
        rate = extractor.sampling_rate
        bank = mel_bank(_N_FFT, extractor.num_mel_bins, _FMIN, rate // 2, rate, "kaldi")
        self.register_buffer("bank", bank, persistent=False)

    def seen(self, samples: Tensor) -> Tensor:
        """Return the spectrogram, (n, frames, bands); frames that have no sound of their own are 0 dB."""
        n = torch.div(covered(samples) - _SIZE, _HOP, rounding_mode="floor") + 1
        mel = (self.get_buffer("bank") @ self.power(samples)).clamp(min=_FLOOR).log().transpose(1, 2)
        mel = torch.where(sound(n, mel.shape[1])[:, :, None], mel, 0)
        mel = nn.functional.pad(mel, (0, 0, 0, self.n_frames - mel.shape[1]))
        mean, spread = self.levels
        return (mel - mean) / spread

    def forward(self, samples: Tensor) -> Tensor:
        return unit(self.model(self.seen(samples)).pooler_output)


def build(paths: Sequence[Path], family: Family) -> Built:
    """Read a checkpoint.

    Raises
    ------
    WeightsError
        If it is another's.
    """
    folder = paths[0].parent
    extractor = front_end(ASTFeatureExtractor, folder)
    model = network(ASTModel, folder)
    due = (model.config.max_length, model.config.num_mel_bins)
    if (extractor.max_length, extractor.num_mel_bins) != due:
        raise WeightsError(f"the front end of {family.name} is not for spectrograms of {due[0]} × {due[1]}")
    window = extractor.max_length * _HOP / extractor.sampling_rate
    return Built(SpectrogramTransformer(model, extractor).eval(), extractor.sampling_rate, window, window / 2)
