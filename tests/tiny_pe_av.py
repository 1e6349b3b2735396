"""PE-AV in small: a layer or two each, a vision transformer of one, a vocabulary of a few words.

transformers builds its vision transformer by timm, which the tests do without: theirs stands in its place.
Where timm is installed, the two are compared.
"""

from __future__ import annotations

import json
from unittest import mock

import torch
import transformers
from transformers.models.pe_video import modeling_pe_video

from echoic.pretrained.pe_av import Vision

SIZE = 28  # pixels of a side
FRAMES = 4
WIDTH, LABELS = 64, 24
LAYERS = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "head_dim": 16,
}
LOOKS = {
    "video_processor_type": "PeVideoVideoProcessor",
    "do_sample_frames": True,
    "num_frames": FRAMES,
    "size": {"height": SIZE, "width": SIZE},
    "do_normalize": True,
    "do_resize": True,
    "do_rescale": True,
    "do_convert_rgb": True,
    "image_mean": [0.5, 0.4, 0.5],
    "image_std": [0.5, 0.5, 0.25],
}


class Seen(torch.nn.Module):
    """The vision transformer, answering as timm's does in transformers."""

    def __init__(self):
        super().__init__()
        self.timm_model = Vision(SIZE, WIDTH, 1, LABELS)
        for part in self.parameters():
            torch.nn.init.normal_(part, std=0.1)

    def forward(self, pictures):
        return mock.Mock(logits=self.timm_model(pictures))


def pe_av_config(tokenizer):
    dac = {"encoder_hidden_size": 2, "downsampling_ratios": [1920], "hidden_size": 32, "codebook_dim": 8}
    audio = LAYERS | {"dac_config": {"model_type": "dac", **dac}}
    vision = {
        "architecture": "vit_pe_core_large_patch14_336",
        "num_labels": LABELS,
        "model_args": {
            "img_size": SIZE,
            "embed_dim": WIDTH,
            "depth": 1,
            "num_heads": 1,
            "ref_feat_shape": [2, 2],
        },
    }
    text = {
        "model_type": "modernbert",
        "vocab_size": len(tokenizer),
        "hidden_size": 24,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "local_attention": 8,
        "pad_token_id": 1,
        "bos_token_id": 0,
        "eos_token_id": 2,
        "cls_token_id": 0,
        "sep_token_id": 2,
    }
    both = LAYERS | {"audio_config": audio, "video_config": LAYERS | {"vision_config": vision}}
    return transformers.PeAudioVideoConfig(text_config=text, audio_video_config=both)


def pe_av_extractor(**changes):
    return transformers.PeAudioFeatureExtractor(**changes)


def pe_av_network(config):
    """Make a network whose norms do something, with the tests' own vision transformer."""
    kind = modeling_pe_video.AutoModelForImageClassification
    with mock.patch.object(kind, "from_config", return_value=Seen()):
        network = transformers.PeAudioVideoModel(config)
    with torch.no_grad():
        for name, part in network.named_parameters():
            if "norm" in name:
                part.add_(0.2 * torch.randn_like(part))
    return network


def write_looks(folder, **changes):
    (folder / "video_preprocessor_config.json").write_text(json.dumps(LOOKS | changes), encoding="utf-8")
