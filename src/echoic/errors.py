"""Everything Echoic raises on purpose.

::

    EchoicError
    ├── UsageError                what was asked for cannot be meant (exit code 2)
    │   ├── UnknownEncoderError   no encoder of that name
    │   └── PartError             a file ends before the part that was asked for (an AudioError, too)
    ├── AudioError                one file cannot be used; the others can
    │   ├── NotAudioError         it holds no sound that can be decoded
    │   └── UnreadableError       it cannot be opened: gone, forbidden, a loop of links
    ├── EncoderError              an encoder cannot be loaded or breaks its contract
    ├── DatasetError              the data to train or measure on cannot be used as it is
    ├── WeightsError              weights that others trained cannot be fetched, or are not what was pinned
    ├── ModelError                a model in training cannot be read, written or exported
    ├── LibraryError              the library on disk cannot be used
    │   └── LibraryBusyError      another thread or process is writing to it
    ├── StoreError                a vector store cannot be reached or refuses its input
    ├── ClusterError              machines to encode on cannot be reached, or not used
    ├── ServiceError              a library that is served elsewhere cannot be asked
    └── MissingDependencyError    an optional package is needed; the message names the command

Every message is one sentence a person can act on: what, which file, what to do.
"""

from __future__ import annotations

import errno
import os
import shlex

from echoic.addresses import told

__all__ = [
    "AudioError",
    "ClusterError",
    "DatasetError",
    "EchoicError",
    "EncoderError",
    "LibraryBusyError",
    "LibraryError",
    "MissingDependencyError",
    "ModelError",
    "NotAudioError",
    "PartError",
    "ServiceError",
    "StoreError",
    "UnknownEncoderError",
    "UnreadableError",
    "UsageError",
    "WeightsError",
    "quoted",
    "shell_word",
    "unopened",
]


def quoted(path: str | bytes | os.PathLike[str] | os.PathLike[bytes]) -> str:
    """Spell a path so that it can stand in a message: as it is, or escaped where it would not print."""
    name = told(os.fsdecode(path))
    return name if name.isprintable() else repr(name)


def shell_word(path: str | bytes | os.PathLike[str] | os.PathLike[bytes]) -> str:
    """Spell a path so that a shell that it is pasted into takes it for the very same.

    Examples
    --------
    >>> shell_word("my songs"), shell_word(b"caf\\xe9.wav")
    ("'my songs'", "$'caf\\\\xe9.wav'")
    """
    name = told(os.fsdecode(path))
    if name.isprintable():
        return shlex.quote(name)
    spelt = "".join(
        chr(byte) if 32 <= byte < 127 and byte not in b"'\\" else f"\\x{byte:02x}"
        for byte in os.fsencode(name)
    )
    return f"$'{spelt}'"


class EchoicError(Exception):
    """Base of all errors that Echoic raises on purpose."""


class UsageError(EchoicError):
    """The request itself is wrong, whatever the files hold."""


class UnknownEncoderError(UsageError):
    """No encoder has the name that was asked for."""


class AudioError(EchoicError):
    """One audio file cannot be used; a run goes on without it."""


class NotAudioError(AudioError):
    """The file was read and holds no sound that can be decoded."""


class UnreadableError(AudioError):
    """The file could not be opened or read at all, so it may work another time."""


class PartError(UsageError, AudioError):
    """The file ends before the part of it that was asked for; others may have that part."""


def unopened(
    path: str | bytes | os.PathLike[str] | os.PathLike[bytes], error: OSError | ValueError
) -> UnreadableError:
    """Say why the system does not open a file, or even look at it, and what to do."""
    name = quoted(path)
    number = getattr(error, "errno", None)
    if number in (errno.ENOENT, errno.ENOTDIR):
        return UnreadableError(f"{name} does not exist, or is a link to nothing; check the path")
    if isinstance(error, PermissionError):
        return UnreadableError(f"{name} may not be read; allow it and try again")
    if number == errno.ELOOP:
        return UnreadableError(f"{name} is a loop of symbolic links; remove the link")
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return UnreadableError(f"{name} cannot be opened ({reason}); check the path and the disk")


class EncoderError(EchoicError):
    """An encoder cannot be loaded, or broke its contract."""


class DatasetError(EchoicError):
    """The data to train or measure on cannot be used as it is."""


class WeightsError(EchoicError):
    """Weights that others trained cannot be fetched, or are not those that were pinned."""


class ModelError(EchoicError):
    """A model in training cannot be read, written or exported."""


class LibraryError(EchoicError):
    """The library on disk cannot be used as it is."""


class LibraryBusyError(LibraryError):
    """Another process is writing to the library."""


class StoreError(EchoicError):
    """A vector store cannot be reached, or refuses what it was given."""


class ClusterError(EchoicError):
    """The machines that are to encode cannot be reached, or none of them can."""


class ServiceError(EchoicError):
    """A library that is served elsewhere cannot be reached, or refuses to answer."""


class MissingDependencyError(EchoicError):
    """A feature needs a package that is not installed; ``system`` names one that pip does not install."""

    def __init__(self, feature: str, extra: str, system: str = "") -> None:
        super().__init__(feature, extra, system)  # all in args, so that it can be pickled
        self.extra = extra
        self.system = system

    def __str__(self) -> str:
        if self.system:
            return f"{self.args[0]} needs {self.system}"
        return f"{self.args[0]} needs packages that are not installed: pip install 'echoic[{self.extra}]'"
