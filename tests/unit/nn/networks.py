"""Networks and spectrograms for the tests: untrained, yet with statistics as if they were not."""

from __future__ import annotations

import torch

from echoic.nn.architectures import build

# Small enough to be exported and tried in a moment; nothing in them is 1 that could be larger.
SMALL = {
    "cnn": {"stem": 8, "widths": (8, 16)},
    "mobile": {"stem": 8, "widths": (8, 16), "depths": (1, 2), "features": 24},
    "transformer": {"width": 32, "depth": 2, "n_heads": 2, "patch": (16, 8)},
    "hybrid": {"channels": (8, 16), "width": 32, "depth": 2, "n_heads": 2},
    "grown": {"stem": 8, "widths": (8, 16), "width": 32, "depth": 2, "n_heads": 2},
}
SMALL_WINDOW = {"n_mels": 40, "n_frames": 121, "dim": 24}


def windows(n, n_frames=247, n_mels=64, *, seed=1):
    """Levels in dB as of music and speech, (n, n_frames, n_mels): slow patterns, no two alike, and noise."""
    generator = torch.Generator().manual_seed(seed)
    time = torch.linspace(0, 1, n_frames)[None, :, None]
    band = torch.linspace(0, 1, n_mels)[None, None, :]
    level = torch.randn(n, n_frames, n_mels, generator=generator) * 6 - 10
    for _ in range(3):
        turns, phase = torch.rand(2, n, 2, 1, 1, generator=generator) * 6
        wave = torch.cos(6.28 * (turns[:, 0] * time + phase[:, 0]))
        level = level + 10 * wave * torch.cos(6.28 * (turns[:, 1] * band + phase[:, 1]))
    return level


def settled(model):
    """Give a new network statistics of batches, and attention that prefers something, without training it."""
    generator = torch.Generator().manual_seed(5)
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d)]
    with torch.no_grad():
        for name, value in model.named_parameters():
            if name.endswith(("_embedding", "query_key_value.weight", "pool.score.weight", "add.weight")):
                value.normal_(0, 0.08, generator=generator)
        for norm in norms:
            norm.bias.normal_(0, 0.2, generator=generator)
            norm.momentum = 1.0
        model.train()(windows(16, model.n_frames, model.n_mels, seed=2))
    for norm in norms:
        norm.momentum = 0.1
    return model.eval()


def small(architecture):
    torch.manual_seed(0)
    return settled(build(architecture, **SMALL_WINDOW, **SMALL[architecture]))
