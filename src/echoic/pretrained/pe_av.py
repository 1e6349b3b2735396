"""``pe-av``: sounds, words and pictures in one space.

It listens to 10 s at a time, as their waveform, which a convolutional codec turns into 25 frames a second; a
transformer goes through these. Of pictures it sees 16, spread over a film: each goes through a vision
transformer alone, and all of them through a transformer like that of the sounds. A photograph is a film that
stands still.

The vision transformer is written down here, as transformers has that of timm, whose further needs nobody has
who wants this one network.

References
----------
Vyas et al., "Pushing the frontier of audiovisual perception with large-scale multimodal correspondence
learning", arXiv 2512.19687, 2025. Bolya et al., "Perception encoder", NeurIPS 2025.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own convention
from transformers import PeAudioFeatureExtractor, PeAudioModel, PeAudioVideoConfig, PreTrainedConfig
from transformers.models.pe_audio.modeling_pe_audio import Snake1d
from transformers.models.pe_video import modeling_pe_video

from echoic.encoders.families import Family
from echoic.errors import WeightsError
from echoic.pretrained.built import Built, BuiltPictures, BuiltText
from echoic.pretrained.checkpoint import expecting, front_end, silent, tokenizer
from echoic.pretrained.front import covered, unit

__all__ = ["build"]

layers: Any = modeling_pe_video  # it has types of its own in part

_WINDOW = 10.0  # s; it takes any length, and was trained on clips of some seconds to half a minute
_LONGEST_TEXT = 512  # tokens
_VISION = "vit_pe_core_large_patch14_336"  # as timm names it; all published sizes have it
_PIXELS = 14  # of the side of a patch
_POOLING_HEADS = 8
_HEAD = 64  # numbers of a head of the vision transformer
_TEMPERATURE = 10_000.0


class PeSound(nn.Module):
    """(n, samples) → (n, dim) of length 1."""

    def __init__(self, model: Any, hop: int) -> None:
        super().__init__()
        self.encoder, self.head, self.hop = model.audio_encoder, model.audio_head, hop
        for part in list(self.encoder.embedder.modules()):
            for name, inner in part.named_children():
                if isinstance(inner, Snake1d):
                    setattr(part, name, _Snake(inner.alpha))

    def forward(self, samples: Tensor) -> Tensor:
        n = covered(samples).clamp(min=1)[:, None]
        until = (n + self.hop - 1) // self.hop * self.hop
        # Up to a whole frame, sound that ends is mirrored; what follows is no sound and does not count.
        places = torch.arange(samples.shape[1])[None]
        turn = (2 * n - 2).clamp(min=1)
        mirrored = torch.minimum(places % turn, turn - places % turn)
        mirrored = torch.where(places < n, places, mirrored).clamp(max=samples.shape[1] - 1)
        heard = torch.where(places < until, samples.gather(1, mirrored), 0)
        counts = (places < until)[:, :: self.hop]
        return unit(self.head(self._pooled(heard[:, None], counts)))

    def _pooled(self, heard: Tensor, counts: Tensor) -> Tensor:
        """Do as the encoder of transformers does with a mask, whose masked means no graph can hold."""
        part = self.encoder
        frames, _ = part.embedder(heard)
        first = part.patch_embedder.class_embedding.expand(frames.shape[0], -1, -1)
        x = torch.cat([first, frames], dim=1)
        counts = torch.cat([counts[:, :1], counts], dim=1)
        block = part.patch_embedder.resnet_block
        y = x.transpose(1, 2)
        for conv in (block.block1, block.block2):
            y = conv.project(conv.activation(_normed(conv.groupnorm, y, counts[:, None])))
        x = x + y.transpose(1, 2)
        hidden = torch.where(counts, 0.0, torch.finfo(torch.float32).min)[:, None, None]
        return _attended(part, x, hidden)


class _Snake(nn.Module):
    """The codec's nonlinearity; by products, as a square is written down as a power, which is slow."""

    def __init__(self, alpha: nn.Parameter) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, x: Tensor) -> Tensor:
        sines = (self.alpha * x).sin()
        return x + sines * sines / (self.alpha + 1e-9)


class PeText(nn.Module):
    """(n, tokens) → (n, dim) of length 1; no text is padded."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model, self.head = model.text_model, model.text_audio_head

    def forward(self, tokens: Tensor) -> Tensor:
        everything = torch.ones_like(tokens)
        read = self.model(tokens, attention_mask=everything).last_hidden_state
        return unit(self.head(read[:, 0]))


class PePictures(nn.Module):
    """(frames, 3, size, size) of levels 0 … 255, a film's in order → (1, dim) of length 1.

    Parameters
    ----------
    config : PeVideoEncoderConfig
    looks : dict
        What the published front end does to a picture.
    tower : Vision
    dim : int
        Of the space.
    """

    def __init__(self, config: Any, looks: Mapping[str, Any], tower: Vision, dim: int) -> None:
        super().__init__()
        n = config.hidden_size
        self.n_frames = looks["num_frames"]
        self.tower = tower
        self.proj = nn.Linear(tower.head.out_features, n, bias=False)
        self.data_proj = nn.Linear(n, n)
        self.patch_embedder = layers.PeVideoEncoderPatchEmbedder(config)
        self.layers = nn.ModuleList(
            layers.PeVideoEncoderLayer(config, i) for i in range(config.num_hidden_layers)
        )
        self.norm = layers.PeVideoEncoderRMSNorm(n, eps=config.rms_norm_eps)
        self.rotary_emb = layers.PeVideoEncoderRotaryEmbedding(config=config)
        self.output = nn.Linear(n, n, bias=False)
        self.head = layers.PeVideoContrastiveHead(n, dim)
        for name in ("mean", "std"):
            level = torch.tensor(looks[f"image_{name}"], dtype=torch.float32)[:, None, None]
            self.register_buffer(name, 255 * level, persistent=False)

    def forward(self, pictures: Tensor) -> Tensor:
        seen = (pictures - self.get_buffer("mean")) / self.get_buffer("std")
        frames = F.normalize(self.tower(seen), dim=-1)
        # Spread over as many as it was taught by; one stands still.
        places = torch.arange(self.n_frames) * pictures.shape[0] // self.n_frames
        x = self.data_proj(self.proj(frames.index_select(0, places)))[None]
        x, _ = self.patch_embedder(x)
        return unit(self.head(_attended(self, x, None)))


class Vision(nn.Module):
    """The vision transformer of the perception encoder: (n, 3, size, size) → (n, labels).

    Names of its parts are those of its weights in timm.
    """

    def __init__(self, size: int, width: int, depth: int, labels: int) -> None:
        super().__init__()
        side = size // _PIXELS
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, width, _PIXELS, _PIXELS, bias=False)})
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, side * side + 1, width))
        self.norm_pre = nn.LayerNorm(width, eps=1e-5)
        self.blocks = nn.ModuleList(_Block(width) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=1e-5)
        self.attn_pool = _Pool(width)
        self.head = nn.Linear(width, labels)
        sines, cosines = _turns(side, width // _heads(width))
        self.register_buffer("sines", sines, persistent=False)
        self.register_buffer("cosines", cosines, persistent=False)

    def forward(self, pictures: Tensor) -> Tensor:
        patches = self.patch_embed["proj"](pictures).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(patches.shape[0], -1, -1), patches], dim=1)
        x = self.norm_pre(x + self.pos_embed)
        for block in self.blocks:
            x = block(x, self.get_buffer("sines"), self.get_buffer("cosines"))
        pooled: Tensor = self.head(self.attn_pool(self.norm(x)))
        return pooled


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = _heads(width)
        self.norm1 = nn.LayerNorm(width, eps=1e-5)
        self.attn = nn.ModuleDict({"qkv": nn.Linear(width, 3 * width), "proj": nn.Linear(width, width)})
        self.norm2 = nn.LayerNorm(width, eps=1e-5)
        self.mlp = _mlp(width)

    def forward(self, x: Tensor, sines: Tensor, cosines: Tensor) -> Tensor:
        n, places, width = x.shape
        parts = self.attn["qkv"](self.norm1(x)).reshape(n, places, 3, self.heads, -1)
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)
        query, key = (_turned(part, sines, cosines) for part in (query, key))
        mixed = _attention(query, key, value).transpose(1, 2).reshape(n, places, width)
        x = x + self.attn["proj"](mixed)
        changed: Tensor = x + _through(self.mlp, self.norm2(x))
        return changed


class _Pool(nn.Module):
    """What is asked of all patches at once."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.latent = nn.Parameter(torch.zeros(1, 1, width))
        self.q, self.kv = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.proj, self.norm = nn.Linear(width, width), nn.LayerNorm(width, eps=1e-5)
        self.mlp = _mlp(width)

    def forward(self, x: Tensor) -> Tensor:
        n, places, width = x.shape
        query = self.q(self.latent).reshape(1, 1, _POOLING_HEADS, -1).transpose(1, 2).expand(n, -1, -1, -1)
        parts = self.kv(x).reshape(n, places, 2, _POOLING_HEADS, -1).permute(2, 0, 3, 1, 4)
        pooled = self.proj(_attention(query, parts[0], parts[1]).transpose(1, 2).reshape(n, width))
        changed: Tensor = pooled + _through(self.mlp, self.norm(pooled))
        return changed


def _heads(width: int) -> int:
    return max(1, width // _HEAD)


def _mlp(width: int) -> nn.ModuleDict:
    return nn.ModuleDict({"fc1": nn.Linear(width, 4 * width), "fc2": nn.Linear(4 * width, width)})


def _through(mlp: nn.ModuleDict, x: Tensor) -> Tensor:
    through: Tensor = mlp["fc2"](F.gelu(mlp["fc1"](x)))
    return through


def _attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    scores = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5
    attended: Tensor = scores.softmax(dim=-1) @ value
    return attended


def _turns(side: int, size: int) -> tuple[Tensor, Tensor]:
    """Return how far the numbers of a head are turned at each patch, column before row, counted from 1."""
    bands = _TEMPERATURE ** -(torch.arange(size // 4) / (size // 4))
    at = torch.arange(side) + 1.0
    rows, columns = torch.meshgrid(at, at, indexing="ij")
    angles = torch.stack([columns.flatten(), rows.flatten()], dim=1)[:, :, None] * bands
    angles = angles.flatten(1).repeat_interleave(2, dim=1)
    return angles.sin(), angles.cos()


def _turned(x: Tensor, sines: Tensor, cosines: Tensor) -> Tensor:
    """Turn the numbers of each patch in pairs; the first place is no patch."""
    patches = x[:, :, 1:]
    across = torch.stack([-patches[..., 1::2], patches[..., ::2]], dim=-1).flatten(-2)
    return torch.cat([x[:, :, :1], patches * cosines + across * sines], dim=2)


def _normed(norm: nn.GroupNorm, x: Tensor, counts: Tensor) -> Tensor:
    """Normalise (n, width, frames) as one group, by what counts, (n, 1, frames)."""
    size = counts.sum(dim=(1, 2), keepdim=True) * x.shape[1]
    mean = torch.where(counts, x, 0).sum(dim=(1, 2), keepdim=True) / size
    apart = torch.where(counts, x - mean, 0)
    var = (apart * apart).sum(dim=(1, 2), keepdim=True) / size
    scaled = apart / torch.sqrt(var + norm.eps) * norm.weight[:, None] + norm.bias[:, None]
    return torch.where(counts, scaled, 0)


def _attended(part: Any, x: Tensor, hidden: Tensor | None) -> Tensor:
    """Send frames through an encoder's layers → what its first place gathers, (n, width)."""
    turns = part.rotary_emb(x, torch.arange(x.shape[1])[None])
    for layer in part.layers:
        x = layer(x, attention_mask=hidden, position_embeddings=turns)
    gathered: Tensor = part.output(part.norm(x))[:, 0]
    return gathered


def build(paths: Sequence[Path], family: Family) -> Built:
    """Read a checkpoint.

    Raises
    ------
    WeightsError
        If it is another's, or its front ends are others than the published ones.
    """
    folder = paths[0].parent
    extractor = front_end(PeAudioFeatureExtractor, folder)
    looks = _looks(folder / "video_preprocessor_config.json", family)
    with expecting(family), silent():
        config = PeAudioVideoConfig.from_pretrained(folder, local_files_only=True)
        about = config.audio_config
        hears = PeAudioModel(about)
        weights = {name: weight.float() for name, weight in load_file(folder / "model.safetensors").items()}
        _fill(hears, {**_under(weights, "audio_model."), **_of_words(weights)})
        sees = _seeing(config, looks, weights)
        for network in (hears, sees):  # after both are made: they share a configuration
            _plain(network)
    hop = about.audio_config.dac_config.hop_length
    if extractor.hop_length != hop or round(_WINDOW * extractor.sampling_rate) % hop:
        raise WeightsError(f"the front end of {family.name} is not for frames of {hop} samples")
    text = BuiltText(PeText(hears).eval(), tokenizer(folder, _LONGEST_TEXT))
    pictures = BuiltPictures(sees.eval(), looks["size"]["height"])
    sound = PeSound(hears, hop).eval()
    return Built(sound, extractor.sampling_rate, _WINDOW, _WINDOW / 2, text, pictures)


def _looks(path: Path, family: Family) -> dict[str, Any]:
    """Read what is done to a picture, and make sure that it is what is done here."""
    with expecting(family):
        looks: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        size, n_frames = looks["size"], looks.get("num_frames")
        is_known = (
            all(looks.get(f"do_{what}", True) for what in ("resize", "rescale", "normalize"))
            and not looks.get("do_center_crop")
            and looks.get("resample") in (None, 2)  # bilinear
            and size["height"] == size["width"]
            and size["height"] % _PIXELS == 0
            and isinstance(n_frames, int)
            and 1 <= n_frames <= 64
        )
    if not is_known:
        raise WeightsError(
            f"only checkpoints of {family.name} are known that see a fixed number of frames, each a square "
            f"of patches of {_PIXELS} pixels"
        )
    return looks


def _seeing(config: Any, looks: Mapping[str, Any], weights: Mapping[str, Tensor]) -> PePictures:
    about = config.video_config.video_config
    if about.vision_config.architecture != _VISION:
        raise LookupError(f"it sees by {about.vision_config.architecture}, and only {_VISION} is known")
    mine = _under(weights, "video_model.video_encoder.")
    mine |= {f"head.{name}": part for name, part in _under(weights, "video_model.video_head.").items()}
    renamed = {
        "embedder.vision_model.timm_model.": "tower.",
        "embedder.vision_model.": "tower.",
        "embedder.": "",
    }
    for old, new in renamed.items():
        mine = {new + name.removeprefix(old) if name.startswith(old) else name: w for name, w in mine.items()}
    depth = 1 + max(int(name.split(".")[2]) for name in mine if name.startswith("tower.blocks."))
    labels, width = mine["tower.head.weight"].shape
    tower = Vision(looks["size"]["height"], width, depth, labels)
    sees = PePictures(about, looks, tower, config.text_config.hidden_size)
    _fill(sees, mine)
    return sees


def _plain(network: nn.Module) -> None:
    """Have all parts of a network attend by plain products: other ways are written for some devices."""
    for part in network.modules():
        if isinstance(config := getattr(part, "config", None), PreTrainedConfig):
            config._attn_implementation = "eager"


def _under(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): part for name, part in weights.items() if name.startswith(prefix)}


def _of_words(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of the network of words, which the whole keeps once."""
    return {name: part for name, part in weights.items() if name.startswith("text_model.")}


def _fill(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Give a network its weights; raise LookupError where some are missing, ValueError for others' shapes."""
    missing = [name for name in network.state_dict() if name not in weights and not name.endswith("inv_freq")]
    missing = [name for name in missing if "logit_" not in name]  # nothing here is a probability
    if missing:
        raise LookupError(f"{len(missing)} of the weights are missing, such as {missing[0]}")
    network.load_state_dict(weights, strict=False)
