"""From a folder or a manifest to a trained model: what ``echoic train`` does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from echoic import __version__
from echoic.datasets import Clip, Columns, Dataset, check_trainable, divide, read_dataset
from echoic.encoders.card import read_card
from echoic.encoders.families import family_named
from echoic.encoders.onnx import BUNDLED
from echoic.errors import DatasetError, UsageError, quoted
from echoic.evaluation.labelled import check_measurable
from echoic.evaluation.taught import note_clips
from echoic.nn.checkpoint import Checkpoint, load_checkpoint
from echoic.training.batches import Sound
from echoic.training.cache import AudioCache, CachedAudio
from echoic.training.loop import Epoch, Examples, Settings, Step, fit
from echoic.training.recipes import Recipe
from echoic.training.targets import read_targets
from echoic.types import Float32, Progress

__all__ = [
    "DEFAULT_START",
    "Outcome",
    "Prepared",
    "choose_device",
    "default_start",
    "prepare",
    "starting_point",
    "train",
]

#: What a training goes on from where nothing is said.
DEFAULT_START = "sound"
_TAKE_IT = ("cnn", "hybrid")  # networks that have a use for its weights


def starting_point(start: Path | str) -> Checkpoint:
    """Load what is to be started from: a file, or a bundled model that has its weights beside it.

    Raises
    ------
    UsageError
        If there is nothing of that name.
    ModelError
        As :func:`echoic.nn.checkpoint.load_checkpoint`.
    """
    if Path(start).suffix == ".echoic":
        return load_checkpoint(Path(start))
    bundled = {path.stem: path for path in sorted(BUNDLED.glob("*.echoic"))}
    if family_named(str(start)) is not None:
        raise UsageError(
            f"{start}, which others trained, is not trained further; it may teach: echoic models add "
            f"{start}, echoic embed DATA --segments --encoder {start} -o OUT.npz, echoic train DATA "
            "--teacher OUT.npz"
        )
    if str(start) not in bundled:
        raise UsageError(
            f"nothing can be started from {quoted(start)}; name a file that ends in .echoic, or one of: "
            f"{', '.join(bundled)}"
        )
    path = bundled[str(start)]
    # Its card tells more of how it came about than was known when it was trained.
    return replace(load_checkpoint(path), training=read_card(path.with_suffix(".onnx"))["training"])


def default_start(recipe: Recipe, window: float | None, dim: int | None) -> tuple[str | None, str]:
    """Choose what to go on from where nothing is said: ``sound``, which fits most sounds, if it can be.

    Parameters
    ----------
    recipe : Recipe
    window : float, optional
        Seconds, if asked for.
    dim : int, optional
        Length of the vectors, if asked for.

    Returns
    -------
    name : str or None
    why : str
        Why nothing can be gone on from; empty where something can.
    """
    card = read_card(BUNDLED / f"{DEFAULT_START}.onnx")
    if recipe.architecture not in _TAKE_IT:
        return None, f"{DEFAULT_START} has nothing to give to a {recipe.architecture}"
    if window not in (None, card["window"]):
        return None, f"{DEFAULT_START} hears {card['window']:g} s at a time, not {window:g}"
    if dim not in (None, card["dim"]):
        return None, f"{DEFAULT_START} gives {card['dim']} numbers, not {dim}"
    return DEFAULT_START, ""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of a recording, as if it were a clip of its own."""

    audio: Sound
    first: int
    n_samples: int

    def read(self, start: int = 0, stop: int | None = None) -> Float32:
        stop = self.n_samples if stop is None else stop
        return self.audio.read(self.first + start, self.first + stop)


@dataclass(frozen=True, slots=True)
class Prepared:
    """Clips divided, decoded and at hand.

    Parameters
    ----------
    train, validation : Examples
    train_paths, validation_paths : tuple of Path
        Where each example comes from.
    failed : dict of Path to str
        Clips that cannot be read, and a sentence why; they are left out.
    data : dict
        What the checkpoint is to say of the clips trained on; JSON-able.
    """

    train: Examples
    train_paths: tuple[Path, ...]
    validation: Examples
    validation_paths: tuple[Path, ...]
    failed: dict[Path, str]
    data: dict[str, Any]

    @property
    def unmeasured(self) -> frozenset[str]:
        """Labels that are learnt and have no clip held out, where others have: no figure is of them."""
        learnt, measured = set(self.train.labels), set(self.validation.labels)
        return frozenset(learnt - measured if learnt & measured else ())


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a training gave."""

    checkpoint: Checkpoint
    history: list[Epoch]
    prepared: Prepared


def prepare(
    dataset: Dataset,
    *,
    sample_rate: int,
    validation: float = 0.2,
    seed: int = 0,
    cache: AudioCache | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Prepared:
    """Decode a data set once and divide it into clips to learn from and clips to measure on.

    Where nothing is labelled each recording is a class: what is cut from one recording belongs together.
    Held-out recordings are then measured by whether one half of them finds the other.

    Parameters
    ----------
    dataset : Dataset
    sample_rate : int
        Hz.
    validation : float
        Share of the clips to measure on, where the data set does not say itself; 0 measures on none.
    seed : int
    cache : AudioCache, optional
    progress : callable, optional
        Called after each file that is decoded.

    Raises
    ------
    DatasetError
        If too little is left to learn from.
    """
    files, failed = (cache or AudioCache()).fill(
        dict.fromkeys(clip.path for clip in dataset.clips), sample_rate, progress=progress
    )
    cached: dict[str, Sound] = {}
    for clip in dataset.clips:
        if clip.path in files:
            sound = _part(files[clip.path], clip, sample_rate)
            if sound.n_samples > 0:
                cached[clip.name] = sound
            else:
                failed[Path(clip.name)] = (
                    f"{quoted(clip.path)} ends before {clip.start:g} s; leave that part out"
                )
    readable = Dataset(dataset.name, tuple(clip for clip in dataset.clips if clip.name in cached))
    if not readable.clips:
        raise DatasetError(
            f"none of the {len(dataset.clips)} clips of {dataset.name} can be learnt from; the first: "
            f"{next(iter(failed.values()))}"
        )
    with _naming_unreadable(dataset, failed):
        learn, held = divide(readable, validation=validation, seed=seed)
        check_trainable(learn, held)
        if readable.labelled:
            train, held_out = (_labelled(part.clips, cached) for part in (learn, held))
            paths = [clip.path for clip in held.clips]
        else:
            train, held_out = _recordings(learn.clips, cached), _halves(held.clips, cached)
            paths = [clip.path for clip in held.clips for _ in range(2)]
        if len(held_out):
            try:
                check_measurable(held_out.labels, held_out.groups)
            except DatasetError as error:
                raise DatasetError(
                    f"the {len(held_out)} clips held out to measure on are too few or too much alike "
                    f"({error}); change --validation, where 0 holds out none"
                ) from error
    return Prepared(
        train,
        tuple(clip.path for clip in learn.clips),
        held_out,
        tuple(paths),
        failed,
        _describe(dataset, learn.clips, held.clips),
    )


@contextmanager
def _naming_unreadable(dataset: Dataset, failed: Mapping[Path, str]) -> Iterator[None]:
    """Add to a refusal which clips could not be used: what is too little may be so because of them."""
    try:
        yield
    except DatasetError as error:
        if not failed:
            raise
        raise DatasetError(
            f"{error}; {len(failed)} of the {len(dataset.clips)} clips of {dataset.name} cannot be used, "
            f"the first: {next(iter(failed.values()))}"
        ) from error


def _part(whole: CachedAudio, clip: Clip, sample_rate: int) -> Sound:
    """Take the part of a file that a clip is."""
    if not clip.is_part:
        return whole
    first = round((clip.start or 0.0) * sample_rate)
    past = whole.n_samples if clip.end is None else min(whole.n_samples, round(clip.end * sample_rate))
    return Stretch(whole, first, past - first)


def _labelled(clips: Iterable[Clip], cached: dict[str, Sound]) -> Examples:
    clips = list(clips)
    return Examples(
        [cached[clip.name] for clip in clips],
        [clip.label for clip in clips],
        [clip.group for clip in clips],
        [clip.weight for clip in clips],
    )


def _recordings(clips: Iterable[Clip], cached: dict[str, Sound]) -> Examples:
    clips = list(clips)
    names = [clip.name for clip in clips]
    return Examples([cached[clip.name] for clip in clips], names, names, [clip.weight for clip in clips])


def _halves(clips: Iterable[Clip], cached: dict[str, Sound]) -> Examples:
    audio, labels, groups = [], [], []
    for clip in clips:
        whole = cached[clip.name]
        middle = whole.n_samples // 2
        audio += [Stretch(whole, 0, middle), Stretch(whole, middle, whole.n_samples - middle)]
        labels += [clip.name] * 2
        groups += [f"{clip.name} 1", f"{clip.name} 2"]
    return Examples(audio, labels, groups, [1.0] * len(labels))


def _describe(dataset: Dataset, clips: Sequence[Clip], held: Sequence[Clip]) -> dict[str, Any]:
    licences = Counter(clip.licence or "not stated" for clip in clips)
    return {
        "name": dataset.name,
        "clips": len(clips),
        "labels": len({clip.label for clip in clips if clip.label}),
        "licences": dict(sorted(licences.items())),
        "digests": note_clips(clip.path for clip in clips),
        "held_out": note_clips(clip.path for clip in held),
    }


def choose_device(name: str | None = None) -> str:
    """Choose where to compute: what is asked for, else the graphics card if there is one.

    Raises
    ------
    UsageError
        If it is not there.
    """
    found = torch.cuda.is_available()
    if name not in (None, "cpu", "cuda"):
        raise UsageError(f"there is no device {name!r}; choose cpu or cuda")
    if name == "cuda" and not found:
        raise UsageError("torch finds no CUDA device here; leave --device out to train on the CPU")
    return name or ("cuda" if found else "cpu")


def train(
    data: Path,
    settings: Settings,
    output: Path,
    *,
    columns: Columns | None = None,
    validation: float = 0.2,
    start: Checkpoint | Path | str | None = None,
    teacher: Path | None = None,
    cache: AudioCache | None = None,
    noted: Callable[[str], None] | None = None,
    decoding: Callable[[Progress], None] | None = None,
    progress: Callable[[Step], None] | None = None,
) -> Outcome:
    """Train an encoder on a data set and write its checkpoint.

    Parameters
    ----------
    data : Path
        A folder or a manifest.
    settings : Settings
    output : Path
        The ``.echoic`` file to write. What a killed run had reached lies beside it, and is gone on from.
    columns : Columns, optional
        Of a manifest.
    validation : float
        See :func:`prepare`.
    start : Checkpoint, Path or str, optional
        Whose weights to begin with: a checkpoint, its file, or the name of a bundled model that has one.
    teacher : Path, optional
        What ``echoic embed`` wrote of the clips by another encoder, to learn from with the weight
        ``settings.distil``.
    cache : AudioCache, optional
    noted : callable, optional
        Called with a sentence on the data, before anything is decoded, where there is one to say.
    decoding, progress : callable, optional
        Called after each file decoded, and after each step.

    Raises
    ------
    UsageError, DatasetError, ModelError
        In one sentence: what is wrong, and what to do.
    """
    if output.suffix != ".echoic":
        raise UsageError(f"the model is written to a file that ends in .echoic, not to {quoted(output)}")
    if not output.parent.is_dir():
        raise UsageError(f"the folder of {quoted(output)} does not exist; make it first")
    begin = starting_point(start) if isinstance(start, str | Path) else start
    columns = columns or Columns()
    dataset = read_dataset(data, columns)
    if noted is not None and dataset.note:
        noted(dataset.note)
    prepared = prepare(
        dataset,
        sample_rate=settings.front_end.sample_rate,
        validation=validation,
        seed=settings.seed,
        cache=cache,
        progress=decoding,
    )
    if not dataset.labelled:  # every recording its own class: a classifier would only learn their names
        settings = replace(settings, classify=0.0)
    targets = read_targets(teacher, prepared.train_paths) if teacher is not None else None
    about = {
        "data": prepared.data | {"path": str(data.absolute()), "columns": asdict(columns)},
        "validation": validation,
        "echoic": __version__,
    }
    checkpoint, history = fit(
        prepared.train,
        prepared.validation,
        settings,
        output,
        start=begin,
        teacher=targets,
        about=about,
        progress=progress,
    )
    return Outcome(checkpoint, history, prepared)
