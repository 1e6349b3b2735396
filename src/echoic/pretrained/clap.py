"""``clap``: sounds and the words that describe them, in one space.

It listens to 10 s at a time. A shorter clip is repeated as often as it fits, and then padded, as in its
training; nothing is cut out at random. Words go through a network of their own.

References
----------
Wu et al., "Large-scale contrastive language-audio pretraining with feature fusion and keyword-to-caption
augmentation", ICASSP 2023.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import ClapFeatureExtractor, ClapModel
from transformers.audio_utils import window_function

from echoic.encoders.families import Family
from echoic.errors import WeightsError
from echoic.pretrained.built import Built, BuiltText
from echoic.pretrained.checkpoint import front_end, network, tokenizer
from echoic.pretrained.front import Spectra, covered, unit

__all__ = ["build"]


class ClapSound(nn.Module):
    """(n, samples) → (n, dim) of length 1."""

    def __init__(self, model: Any, extractor: Any) -> None:
        super().__init__()
        self.model, self.projection = model.audio_model, model.audio_projection
        n_fft = extractor.fft_window_size
        self.power = Spectra(window_function(n_fft, "hann"), n_fft, extractor.hop_length, centred=True)
        bank = torch.from_numpy(extractor.mel_filters_slaney.T.astype("float32"))
        self.register_buffer("bank", bank, persistent=False)

    def seen(self, samples: Tensor) -> Tensor:
        """Return the spectrogram, (n, 1, frames, bands), in dB."""
        mel = self.get_buffer("bank") @ self.power(_repeated(samples))
        levels: Tensor = 10 * mel.clamp(min=1e-10).log10()
        return levels.transpose(1, 2)[:, None]

    def forward(self, samples: Tensor) -> Tensor:
        heard = self.model(input_features=self.seen(samples)).pooler_output
        return unit(self.projection(heard))


class ClapText(nn.Module):
    """(n, tokens) → (n, dim) of length 1; no text is padded."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model, self.projection = model.text_model, model.text_projection

    def forward(self, tokens: Tensor) -> Tensor:
        everything = torch.ones_like(tokens)
        return unit(self.projection(self.model(tokens, attention_mask=everything).pooler_output))


def _repeated(samples: Tensor) -> Tensor:
    """Repeat what sounds of each window as often as it fits as a whole."""
    size = samples.shape[1]
    n = covered(samples).clamp(min=1)[:, None]
    places = torch.arange(size)[None]
    whole = size - torch.full_like(n, size) % n
    return torch.where(places < whole, samples.gather(1, places % n), 0)


def build(paths: Sequence[Path], family: Family) -> Built:
    """Read a checkpoint.

    Raises
    ------
    WeightsError
        If it is another's, or one that listens to crops taken at random.
    """
    folder = paths[0].parent
    extractor = front_end(ClapFeatureExtractor, folder)
    model = network(ClapModel, folder)
    audio = model.config.audio_config
    if audio.enable_fusion or (extractor.truncation, extractor.padding) != ("rand_trunc", "repeatpad"):
        raise WeightsError(
            f"only checkpoints of {family.name} without fusion are known, which do not crop at random"
        )
    if extractor.feature_size != audio.num_mel_bins:
        raise WeightsError(f"the front end of {family.name} is not for {audio.num_mel_bins} bands")
    words = model.config.text_config
    # Its places are counted from the one of padding.
    most = words.max_position_embeddings - words.pad_token_id - 1
    text = BuiltText(ClapText(model).eval(), tokenizer(folder, most))
    window = extractor.nb_max_samples / extractor.sampling_rate
    return Built(ClapSound(model, extractor).eval(), extractor.sampling_rate, window, window / 2, text)
