"""``wav2vec2``, ``hubert``, ``wavlm``: transformers on waveforms that taught themselves speech.

A window's vector is the mean, over the time that sound covers, of what one layer gives. Lower layers tell
more of voices and recordings, middle ones more of sounds of speech and words; the last ones serve what the
network was trained for. Layers above the chosen one are left out of the graph.

References
----------
Pasad et al., "Comparative layer-wise analysis of self-supervised speech models", ICASSP 2023.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import HubertModel, Wav2Vec2FeatureExtractor, Wav2Vec2Model, WavLMModel

from echoic.encoders.families import Family
from echoic.errors import WeightsError
from echoic.pretrained.built import Built
from echoic.pretrained.checkpoint import front_end, network
from echoic.pretrained.front import covered, mean_of, sound, unit

__all__ = ["build"]

_WINDOW, _HOP = 5.0, 2.5  # s
_KINDS = {"wav2vec2": Wav2Vec2Model, "hubert": HubertModel, "wavlm": WavLMModel}


class Speech(nn.Module):
    """(n, samples) → (n, hidden) of length 1."""

    def __init__(self, model: nn.Module, strides: Sequence[tuple[int, int]], levelled: bool) -> None:
        super().__init__()
        self.model = model
        self.strides = tuple(strides)
        self.levelled = levelled
        self.shortest = 1  # samples of which there is a frame
        for kernel, stride in reversed(self.strides):
            self.shortest = (self.shortest - 1) * stride + kernel

    def forward(self, samples: Tensor) -> Tensor:
        n = covered(samples).clamp(min=self.shortest)
        heard = self._level(samples, n) if self.levelled else samples
        for kernel, stride in self.strides:
            n = torch.div(n - kernel, stride, rounding_mode="floor") + 1
        return unit(mean_of(self.model(heard).last_hidden_state, n))

    def _level(self, samples: Tensor, n: Tensor) -> Tensor:
        """Bring the sound of each window to mean 0 and variance 1; what pads it stays 0."""
        mean = samples.sum(dim=1, keepdim=True) / n[:, None]
        apart = torch.where(sound(n, samples.shape[1]), samples - mean, 0)
        variance = apart.pow(2).sum(dim=1, keepdim=True) / n[:, None]
        return apart / (variance + 1e-7).sqrt()


def build(paths: Sequence[Path], family: Family) -> Built:
    """Read a checkpoint.

    Raises
    ------
    WeightsError
        If it is another's, or has fewer layers than are asked for.
    """
    folder = paths[0].parent
    extractor = front_end(Wav2Vec2FeatureExtractor, folder)
    # Without masks, which are for training.
    model = network(_KINDS[family.name], folder, mask_time_prob=0.0, mask_feature_prob=0.0)
    depth = len(model.encoder.layers)
    if family.layer is None or not 1 <= family.layer <= depth:
        raise WeightsError(
            f"there is no layer {family.layer} in these weights of {family.name}: they have {depth}"
        )
    if family.layer < depth and model.config.do_stable_layer_norm:
        model.encoder.layer_norm = nn.Identity()  # which follows the last layer there
    model.encoder.layers = model.encoder.layers[: family.layer]
    strides = list(zip(model.config.conv_kernel, model.config.conv_stride, strict=True))
    speech = Speech(model, strides, extractor.do_normalize)
    return Built(speech.eval(), extractor.sampling_rate, _WINDOW, _HOP)
