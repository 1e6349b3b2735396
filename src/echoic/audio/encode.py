"""Audio out: writing sound files through ffmpeg, the format chosen by the suffix."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, NamedTuple

import av
import av.error
import numpy as np

from echoic.errors import UsageError
from echoic.files import written_whole
from echoic.types import Float32

__all__ = ["check_writable", "write_audio", "write_blocks"]


class _Format(NamedTuple):
    container: str  # ffmpeg's name of the muxer
    codec: str
    rates: tuple[int, ...] = ()  # Hz that the codec takes; any if empty
    channels: tuple[int, ...] = ()  # likewise


_MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_FORMATS = {
    ".wav": _Format("wav", "pcm_s16le"),
    ".aiff": _Format("aiff", "pcm_s16be"),
    ".flac": _Format("flac", "flac"),
    ".mp3": _Format("mp3", "libmp3lame", _MP3_RATES, (1, 2)),
    ".ogg": _Format("ogg", "vorbis", (), (2,)),  # ffmpeg's own encoder knows only stereo
    ".opus": _Format("opus", "libopus", (8000, 12000, 16000, 24000, 48000)),
    ".m4a": _Format("ipod", "aac", (*_MP3_RATES, 64000, 88200, 96000)),
    ".webm": _Format("webm", "libopus", (8000, 12000, 16000, 24000, 48000)),
    ".wma": _Format("asf", "wmav2", _MP3_RATES, (1, 2)),
}
_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}


def write_audio(
    path: str | os.PathLike[str],
    samples: Float32,
    sample_rate: int,
    *,
    bit_rate: int = 128_000,
    codec: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> None:
    """Write a sound file.

    A sample rate that the codec does not take is converted to its next higher one, and mono to stereo where
    it takes nothing else.

    Parameters
    ----------
    path : str or path
        Its suffix chooses the format: .wav, .aiff, .flac (16 bits), .mp3, .ogg (Vorbis), .opus, .m4a (AAC),
        .webm (Opus), .wma. An existing file is replaced once all is written.
    samples : ndarray of float32, shape (n,) or (n, channels)
        Full scale at ±1; up to 8 channels.
    sample_rate : int
        Hz.
    bit_rate : int
        Bits per second, for the codecs that lose something.
    codec : str, optional
        ffmpeg's name of another codec for the same container, e.g. ``"pcm_f32le"`` for a wav of floats.
    tags : mapping of str to str, optional
        Title, artist and the like.

    Raises
    ------
    UsageError
        On a suffix that is not known and on samples or options that the format does not take.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import numpy as np, tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "tone.flac"
    >>> write_audio(path, np.sin(np.arange(8000) * 0.3).astype(np.float32), 8000)
    >>> path.read_bytes()[:4]
    b'fLaC'
    """
    frames = samples[:, None] if samples.ndim == 1 else samples
    if frames.ndim != 2 or not len(frames) or frames.shape[1] not in _LAYOUTS:
        raise UsageError(
            f"samples of shape {samples.shape} cannot be written; give (n,) or (n, 1 to 8), n > 0"
        )
    # A second at a time.
    blocks = (frames[at : at + sample_rate] for at in range(0, len(frames), sample_rate))
    write_blocks(path, blocks, sample_rate, frames.shape[1], bit_rate=bit_rate, codec=codec, tags=tags)


def write_blocks(
    path: str | os.PathLike[str],
    blocks: Iterable[Float32],
    sample_rate: int,
    channels: int,
    *,
    bit_rate: int = 128_000,
    codec: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> None:
    """Write a sound file as its sound comes, in blocks of shape (n, channels), as :func:`write_audio`."""
    path = Path(path)
    check_writable(path)
    chosen = _FORMATS[path.suffix.lower()]
    rate_out = _at_least(sample_rate, chosen.rates)
    most = max(chosen.channels or _LAYOUTS)
    if channels > most:
        raise UsageError(f"{path.suffix} takes at most {most} channels, not {channels}; mix them down")
    channels_out = _at_least(channels, chosen.channels)
    # A file object, as ffmpeg reads names with colons or percent signs in its own way.
    with written_whole(path) as partial, partial.open("wb") as opened:
        file = _Output(opened)
        try:
            # Bit-exact: the same sound is the same file. Ogg would number its streams at random.
            with av.open(file, "w", format=chosen.container, options={"fflags": "+bitexact"}) as container:
                container.metadata.update(tags or {})
                stream = container.add_stream(codec or chosen.codec, rate=rate_out)
                assert isinstance(stream, av.AudioStream)
                stream.codec_context.layout = _LAYOUTS[channels_out]
                stream.codec_context.bit_rate = bit_rate
                stream.codec_context.options = {"strict": "experimental"}  # Vorbis is marked so
                at = 0
                for block in blocks:
                    packed = np.ascontiguousarray(block, np.float32).reshape(1, -1)
                    frame = av.AudioFrame.from_ndarray(packed, "flt", _LAYOUTS[channels])
                    frame.sample_rate = sample_rate
                    # Without time stamps no note is made of the encoder's delay, and players do not skip it.
                    frame.pts = at
                    frame.time_base = Fraction(1, sample_rate)
                    container.mux(stream.encode(frame))
                    at += len(block)
                    if file.error is not None:
                        break
                container.mux(stream.encode(None))
        except (av.error.FFmpegError, ValueError) as error:
            raise UsageError(
                f"{path.name} cannot be written as {codec or chosen.codec} with {channels_out} channels at "
                f"{rate_out} Hz ({error}); choose another format or rate"
            ) from error
        if file.error is not None:
            raise file.error


class _Output:
    """A file for ffmpeg to write to, which takes whatever comes once the system has refused something.

    What is raised to ffmpeg while it closes a file is printed by PyAV and lost.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        return self._tried(self._file.write, len(data), data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._tried(self._file.seek, 0, offset, whence)

    def tell(self) -> int:
        return self._tried(self._file.tell, 0)

    def _tried(self, do: Callable[..., int], otherwise: int, *args: object) -> int:
        if self.error is None:
            try:
                return do(*args)
            except OSError as error:
                self.error = error
        return otherwise


def check_writable(path: Path) -> None:
    """Raise UsageError if a suffix is none that can be written, or the folder is not there."""
    if path.suffix.lower() not in _FORMATS:
        raise UsageError(f"{path.name} has no suffix that can be written; use one of {', '.join(_FORMATS)}")
    if not path.parent.is_dir():
        raise UsageError(f"the folder of {path} does not exist; make it first")


def _at_least(wanted: int, offered: tuple[int, ...]) -> int:
    """Return the smallest value on offer that is not below the one wanted, or else the largest."""
    if not offered:
        return wanted
    return min((value for value in offered if value >= wanted), default=max(offered))
