"""A small transformer over patches of the log-mel spectrogram of one window, to one unit vector.

As in the audio spectrogram transformer (Gong et al., 2021), a strided convolution turns patches of some
frames × some bands into positions of a sequence. Each gets the sum of a learned embedding of its time and
one of its band, so that shorter windows use the first of the times.

References
----------
Gong, Chung and Glass, "AST: Audio spectrogram transformer", Interspeech 2021.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

import torch
from torch import Tensor, nn

from echoic.nn.attention import Transformer
from echoic.nn.embedder import Embedder, Shape, pad_with_silence, pooled_activity, weighted_mean

__all__ = ["TransformerEmbedder"]


class TransformerEmbedder(Embedder):
    """Embed log-mel spectrograms by attention between patches.

    Parameters
    ----------
    patch : pair of int
        Frames and bands of a patch; ``n_mels`` must be a multiple of the second.
    width : int
        Features of a patch, a multiple of ``n_heads``.
    depth : int
        Transformer blocks.
    n_heads, expansion : int
        Attention heads of a block, and hidden units of its perceptron for each feature.
    dropout : float
        Share of what is added in a block, and of the pooled features, dropped while training.
    **shape
        ``n_mels``, ``n_frames`` and ``dim``, as of :class:`~echoic.nn.embedder.Embedder`.

    Raises
    ------
    ValueError
        If the bands do not divide into patches, or ``width`` into heads.

    Notes
    -----
    A window is padded with silence to whole patches. Patches in which every frame is silent get no weight in
    any attention nor in the average at the end, so that the vector depends in no way on how much silence
    follows the last frame that is not silent, be it zeros in the window or frames that are not there; what
    remains is rounding. Silent means 65 dB below the loudest point; digital silence is, where that point is
    above -30 dB in the log-mel spectrogram.

    Examples
    --------
    >>> import torch
    >>> TransformerEmbedder().eval()(torch.zeros(2, 247, 64)).shape
    torch.Size([2, 192])
    """

    def __init__(
        self,
        *,
        patch: Sequence[int] = (16, 16),
        width: int = 128,
        depth: int = 6,
        n_heads: int = 4,
        expansion: int = 4,
        dropout: float = 0.1,
        **shape: Unpack[Shape],
    ) -> None:
        super().__init__(**shape)
        self.patch_frames, patch_bands = patch
        n_bands, left_over = divmod(self.n_mels, patch_bands)
        if left_over:
            raise ValueError(f"{self.n_mels} bands do not divide into patches of {patch_bands}")
        self.patches = nn.Conv2d(1, width, (self.patch_frames, patch_bands), (self.patch_frames, patch_bands))
        self.time_embedding = nn.Parameter(torch.empty(-(-self.n_frames // self.patch_frames), 1, width))
        self.band_embedding = nn.Parameter(torch.empty(n_bands, width))
        for embedding in (self.time_embedding, self.band_embedding):
            nn.init.trunc_normal_(embedding, std=0.02)
        self.blocks = Transformer(width, depth, n_heads=n_heads, expansion=expansion, dropout=dropout)
        self.norm = nn.LayerNorm(width)
        self.add_head(width * n_bands, dropout)

    def surround(self, level: Tensor) -> Tensor:
        """Fill the last patch with silence: (n, frames, n_mels) → (n, ⌈frames / patch⌉ * patch, n_mels)."""
        return pad_with_silence(level, 0, -level.shape[1] % self.patch_frames)

    def pooled_features(self, x: Tensor, activity: Tensor) -> Tensor:
        """Describe windows: (n, frames, n_mels) and (n, 1, frames) → (n, width * bands)."""
        x = self.patches(x.unsqueeze(1)).permute(0, 2, 3, 1)  # (n, times, bands, width)
        n, n_times, n_bands, width = x.shape
        activity = pooled_activity(activity, self.patch_frames)
        log_activity = activity[:, 0, :, None].expand(n, n_times, n_bands).flatten(1).log()
        x = (x + self.time_embedding[:n_times] + self.band_embedding).reshape(n, n_times * n_bands, width)
        x = self.norm(self.blocks(x, log_activity)).reshape(n, n_times, n_bands * width)
        return weighted_mean(x.transpose(1, 2), activity)
