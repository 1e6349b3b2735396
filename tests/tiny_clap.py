"""CLAP in small: a second of sound, two layers, a vocabulary of a few words."""

from __future__ import annotations

import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

TEXTS = ["rain", "a dog barks far away", "rain on a tin roof while a dog barks, and a door", "Zürich!"]
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
CONFIG = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 40,
}


def clap_config(tokenizer):
    audio = {
        "window_size": 4,
        "num_mel_bins": 16,
        "spec_size": 64,
        "patch_size": 4,
        "patch_stride": (4, 4),
        "patch_embeds_hidden_size": 16,
        "hidden_size": 32,
        "depths": (2, 1),
        "num_attention_heads": (2, 2),
    }
    text = CONFIG | {"vocab_size": len(tokenizer)}
    return transformers.ClapConfig(audio_config=audio, text_config=text, projection_dim=24)


def clap_extractor(**changes):
    settings = {"feature_size": 16, "frequency_min": 50, "max_length_s": 1, "truncation": "rand_trunc"}
    return transformers.ClapFeatureExtractor(**settings | changes)


def clap_tokenizer():
    """Divide words as RoBERTa does: pairs of bytes, and a token at either end of a text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    bytes_ = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=SPECIAL, initial_alphabet=bytes_, show_progress=False
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>"
    )
