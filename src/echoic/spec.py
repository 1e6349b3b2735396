"""What an encoder is and what it must be fed, held to what can be meant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from echoic.untrusted import check_number, check_text, check_whole_number, shown

__all__ = ["By", "EncoderSpec", "Precision", "Purpose", "check_windows", "is_plain_name"]

Precision = Literal["float32", "int8"]
#: What an encoder may be asked for: what sounds alike, the very same recording, other versions of a piece,
#: what is said, asked by typed words or by a spoken example; who speaks; every place where a sound is heard.
Purpose = Literal["sounds", "recordings", "versions", "phrases", "spoken", "voices", "occurrences"]
#: Whether an encoder gives a vector for each window, for each of a window's frames, or for each event that
#: :class:`~echoic.audio.events.EventCutter` cuts out of a file, and that is no longer than a window to it.
By = Literal["window", "frame", "event"]

# What an encoder may be at most: beyond, a few windows would fill the memory of a laptop.
_LONGEST_WINDOW = 120.0  # s
_MOST_SAMPLES = 6_000_000  # of a window: two minutes at 48 kHz
_SHORTEST_HOP = 0.01  # s
_HIGHEST_RATE = 768_000  # Hz
_LARGEST_DIM = 32_768
_HIGHEST_FRAME_RATE = 1_000.0  # Hz
_INPUTS = frozenset({"audio", "text", "picture"})


def is_plain_name(name: object) -> bool:
    """Tell whether an encoder may be named so: on a command line, in a table, in the name of a collection."""
    return (
        isinstance(name, str)
        and 0 < len(name) <= 100
        and name.isprintable()
        and name == name.strip()
        and not set(name) & set("@/\\")
        and not name.startswith(("-", "."))
        and not name.endswith(".onnx")
    )


def check_windows(sample_rate: int, window: float, hop: float) -> None:
    """Make sure that audio can be cut into windows so.

    Parameters
    ----------
    sample_rate : int
        Hz.
    window, hop : float
        Length of one window and distance between the starts of two, in seconds.

    Raises
    ------
    ValueError
        If it cannot.
    """
    check_whole_number("sample_rate", sample_rate, 1_000, _HIGHEST_RATE)
    check_number("window", window, _SHORTEST_HOP, _LONGEST_WINDOW)
    if window * sample_rate > _MOST_SAMPLES:
        raise ValueError(
            f"a window of {window:g} s at {sample_rate:,} Hz has more than {_MOST_SAMPLES:,} samples"
        )
    check_number("hop", hop, _SHORTEST_HOP, window)


@dataclass(frozen=True, slots=True)
class EncoderSpec:
    """What an encoder is and what it must be fed.

    Parameters
    ----------
    name : str
        Short name, as given to ``--encoder``.
    revision : str
        Changes whenever the same audio would give other vectors. Vectors of two revisions never mix.
    sample_rate : int
        Hz of the mono audio that the encoder takes.
    window, hop : float
        Length of one window and distance between the starts of two, in seconds.
    dim : int
        Length of the vectors.
    inputs : frozenset of {"audio", "text", "picture"}
        What can be encoded into the space.
    purposes : frozenset of Purpose
        What it may be asked for: what sounds alike, as its cosines tell; the very same recording; other
        versions of a piece of music; where a phrase is said that is typed, or spoken: each of these two by
        frame and for nothing else; who speaks, by window and for nothing else; every place where a sound is
        heard: by event and for nothing else.
    by : {"window", "frame", "event"}
        Whether it gives a vector for each window, several, one for each frame of the window, or one for
        each event that is cut out of a file.
    frame_rate : float, optional
        Frames in a second, of an encoder that gives a vector for each: frame i of a window begins
        i / frame_rate seconds after it.
    licence : str
        SPDX name of the licence of the weights.
    reference : str
        Paper, model card or recipe that the encoder follows.
    description : str
        What it is good for, in a few words.
    storage : {"float32", "int8"}
        What a number of its vectors takes in a library: 4 bytes, or 1, which moves cosines by some 1e-4.

    Raises
    ------
    ValueError
        If a field cannot be meant: a wrong type, a number that is not finite or beyond what a window may be,
        a name that is no plain word.
    """

    name: str
    revision: str
    sample_rate: int
    window: float
    hop: float
    dim: int
    inputs: frozenset[str] = frozenset({"audio"})
    licence: str = "Apache-2.0"
    reference: str = ""
    description: str = ""
    storage: Precision = "float32"
    purposes: frozenset[str] = frozenset({"sounds"})
    by: By = "window"
    frame_rate: float | None = None

    def __post_init__(self) -> None:
        for field_name, word in (("name", self.name), ("revision", self.revision)):
            if not is_plain_name(word):
                raise ValueError(
                    f"{field_name} is {shown(word)} and must be a word of 100 characters at most, "
                    "without @, slashes or what does not print"
                )
        check_windows(self.sample_rate, self.window, self.hop)
        check_whole_number("dim", self.dim, 2, _LARGEST_DIM)
        if not isinstance(self.inputs, frozenset) or not {"audio"} <= self.inputs <= _INPUTS:
            raise ValueError(
                f'inputs is {shown(self.inputs)} and must be "audio", with or without "text" and "picture"'
            )
        check_text("licence", self.licence, 200)
        check_text("reference", self.reference, 2_000)
        check_text("description", self.description, 2_000)
        if self.storage not in get_args(Precision):
            raise ValueError(f"storage is {shown(self.storage)} and must be float32 or int8")
        if not isinstance(self.purposes, frozenset) or not self.purposes <= {*get_args(Purpose)}:
            raise ValueError(
                f"purposes is {shown(self.purposes)} and must be of {', '.join(get_args(Purpose))}"
            )
        if self.by not in get_args(By):
            raise ValueError(f"by is {shown(self.by)} and must be window, frame or event")
        alone = self.purposes == {"occurrences"}
        if not (self.by == "event") == ("occurrences" in self.purposes) == alone:
            raise ValueError(
                f"purposes is {shown(self.purposes)}, and occurrences, and nothing else, are found by event"
            )
        if self.by == "frame":
            check_number("frame_rate", self.frame_rate, 1 / self.window, _HIGHEST_FRAME_RATE)
            if self.purposes - {"sounds"} and self.purposes not in ({"phrases"}, {"spoken"}):
                raise ValueError(
                    f"purposes is {shown(self.purposes)}, and frames are asked for sounds, or for phrases, "
                    "or for spoken ones"
                )
        elif self.frame_rate is not None:
            raise ValueError(f"frame_rate is {shown(self.frame_rate)}, and there are frames by frame only")
        elif self.tells_what_is_said:
            raise ValueError(f"purposes is {shown(self.purposes)}, and phrases are found by frame only")
        elif "voices" in self.purposes and len(self.purposes) > 1:
            raise ValueError(f"purposes is {shown(self.purposes)}, and voices are told for nothing else")

    @property
    def tells_what_is_said(self) -> bool:
        """Whether its frames are what is said."""
        return bool(self.purposes & {"phrases", "spoken"})

    @property
    def is_of_speech(self) -> bool:
        """Whether it tells what is said or who speaks; the last number then tells how surely nobody does."""
        return self.tells_what_is_said or "voices" in self.purposes

    @property
    def compares_sounds(self) -> bool:
        """Whether its nearest vectors, whatever it is for, are of what sounds alike."""
        return not self.is_of_speech and self.by != "event"

    @property
    def key(self) -> str:
        """Name of the collection that holds this revision's vectors."""
        return f"{self.name}@{self.revision}"

    @property
    def window_samples(self) -> int:
        return round(self.window * self.sample_rate)

    @property
    def hop_samples(self) -> int:
        return round(self.hop * self.sample_rate)
