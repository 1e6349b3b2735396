"""Print how fast each pretrained network encodes, on one core, beside its publisher's code in the same run.

    python -m benchmarks.families [NAME …]

The networks have their published sizes and random weights, which take as long as trained ones. "x" is seconds
of sound in a second of processor time, of windows that follow each other; ``echoic index`` encodes most of
them so that they overlap by half, at half of that. Publisher's code is transformers' feature extractor and
model, or else the network in torch, front end included, as it is before it becomes a graph. Beside them
stands how far the graph's vectors are from the network's, in any number.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers as untyped
from threadpoolctl import threadpool_limits
from torch import nn

from benchmarks.tables import machine, print_table
from echoic.encoders.card import FORMAT
from echoic.nn.graph import traced
from echoic.pretrained import aisfx, ced, clap, efficientat, panns, resemblyzer, speech, vggish, whisper
from echoic.pretrained.checkpoint import silent
from echoic.pretrained.spectrogram_transformer import SpectrogramTransformer
from echoic.training.publish import check_parity, staged
from echoic.types import Float32

WINDOWS, REPEATS = 4, 3
transformers: Any = untyped

Ready = tuple[nn.Module, int, float, Callable[[Float32], object] | None]


def of_waveforms(model: Any, config: Any, levelled: bool) -> Ready:
    """Make a transformer on waveforms; all of its layers are run."""
    network = model(config)
    strides = list(zip(config.conv_kernel, config.conv_stride, strict=True))
    extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=levelled)

    def published(windows: Float32) -> object:
        return network(extractor(list(windows), sampling_rate=16_000, return_tensors="pt").input_values)

    return speech.Speech(network, strides, levelled), 16_000, 5.0, published


def of_ast() -> Ready:
    network, extractor = transformers.ASTModel(transformers.ASTConfig()), transformers.ASTFeatureExtractor()

    def published(windows: Float32) -> object:
        return network(extractor(list(windows), sampling_rate=16_000, return_tensors="pt").input_values)

    return SpectrogramTransformer(network, extractor), 16_000, 10.24, published


def of_whisper() -> Ready:
    sizes = {"d_model": 512, "encoder_layers": 6, "encoder_attention_heads": 8, "encoder_ffn_dim": 2048}
    encoder = transformers.WhisperModel(
        transformers.WhisperConfig(**sizes, decoder_layers=1, decoder_attention_heads=8)
    ).encoder
    extractor = transformers.WhisperFeatureExtractor()

    def published(windows: Float32) -> object:
        return encoder(extractor(list(windows), sampling_rate=16_000, return_tensors="pt").input_features)

    return whisper.Whisper(encoder, extractor), 16_000, 30.0, published


def of_clap() -> Ready:
    network = transformers.ClapModel(transformers.ClapConfig())
    extractor = transformers.ClapFeatureExtractor(truncation="rand_trunc")

    def published(windows: Float32) -> object:
        heard = extractor(list(windows), sampling_rate=48_000, return_tensors="pt")
        return network.get_audio_features(**heard)

    return clap.ClapSound(network, extractor), 48_000, 10.0, published


FAMILIES: dict[str, Callable[[], Ready]] = {
    "aisfx": lambda: (aisfx.Aisfx(), 44_100, 103_424 / 44_100, None),
    "resemblyzer": lambda: (resemblyzer.Resemblyzer(), 16_000, 25_840 / 16_000, None),
    "vggish": lambda: (vggish.Vggish(), 16_000, 0.975, None),
    "panns": lambda: (panns.Cnn14(), 32_000, 10.0, None),
    "panns-mobilenetv1": lambda: (panns.MobileNetV1(), 32_000, 10.0, None),
    "panns-mobilenetv2": lambda: (panns.MobileNetV2(), 32_000, 10.0, None),
    "mn04": lambda: (efficientat.Mn(0.4), 32_000, 10.0, None),
    "mn10": lambda: (efficientat.Mn(1.0), 32_000, 10.0, None),
    "dymn10": lambda: (efficientat.Dymn(1.0), 32_000, 10.0, None),
    "ced-tiny": lambda: (ced.Ced(ced.DEFAULTS | {"embed_dim": 192, "num_heads": 3}), 16_000, 10.0, None),
    "ced": lambda: (ced.Ced(ced.DEFAULTS), 16_000, 10.0, None),
    "ast": of_ast,
    "clap": of_clap,
    "wav2vec2": lambda: of_waveforms(transformers.Wav2Vec2Model, transformers.Wav2Vec2Config(), True),
    "hubert": lambda: of_waveforms(transformers.HubertModel, transformers.HubertConfig(), True),
    "wavlm": lambda: of_waveforms(transformers.WavLMModel, transformers.WavLMConfig(), False),
    "whisper": of_whisper,
}


def cost(work: Callable[[], object]) -> float:
    """Return seconds of processor time; the best of some runs, as others may be using the machine."""
    work()  # what is loaded or built on first use does not count
    costs = []
    for _ in range(REPEATS):
        begun = time.process_time()
        work()
        costs.append(time.process_time() - begun)
    return min(costs)


def measured(name: str, folder: Path) -> list[str]:
    """Turn a network into a graph, and measure both."""
    torch.manual_seed(0)
    with silent():
        network, rate, window, published = FAMILIES[name]()
    network.eval()
    windows = np.random.default_rng(0).normal(0, 0.1, (WINDOWS, round(window * rate))).astype(np.float32)
    graph = traced(network, windows, name, input_name="waveform", fed="", output_name="vectors")
    about = {
        "format": FORMAT,
        "name": name,
        "sample_rate": rate,
        "window": window,
        "hop": window,
        "inputs": ["audio"],
        "licence": "",
        "reference": "",
        "description": "",
        "front_end": {"kind": "waveform"},
        "graph": {"input": "waveform", "output": "vectors"},
    }
    encoder = staged(graph, about, folder / f"{name}.onnx")
    parity = check_parity(network, encoder, windows, tolerance=1e-3)

    def by_publisher() -> None:
        with torch.no_grad():
            for samples in windows:
                if published is not None:
                    published(samples[None])
                else:
                    network(torch.from_numpy(samples[None]))

    ours, theirs = (WINDOWS * window / cost(work) for work in (lambda: encoder.encode(windows), by_publisher))
    n_weights = sum(weight.numel() for weight in network.parameters()) / 1e6
    code = "torch" if published is None else "transformers"
    times = [f"{ours:.0f}", f"{theirs:.0f}", f"{ours / theirs:.1f}"]
    return [name, f"{n_weights:.1f}", f"{window:.1f}", *times, code, f"{parity:.0e}"]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="all by default")
    names = parser.parse_args().names or list(FAMILIES)
    if unknown := set(names) - set(FAMILIES):
        parser.error(f"there is no {', '.join(sorted(unknown))}; choose from {', '.join(FAMILIES)}")
    torch.set_num_threads(1)
    rows = []
    with threadpool_limits(1), tempfile.TemporaryDirectory() as folder:
        for name in names:
            rows.append(measured(name, Path(folder)))
            print(*rows[-1], flush=True)
    header = [
        "network",
        "millions of weights",
        "window, s",
        "x",
        "x, publisher's code",
        "ratio",
        "code",
        "parity",
    ]
    print_table("Pretrained networks, one core", header, rows, machine())


if __name__ == "__main__":
    main()
