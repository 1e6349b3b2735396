"""What ffmpeg reads from: a file, here or in a bucket, or a part of it, and bytes that come by a connection.

ffmpeg gets open files and never names, which it would read as addresses or patterns (``concat:``, ``%03d``).
"""

from __future__ import annotations

import errno
import io
import os
import re
import stat
from collections.abc import Callable

from echoic.addresses import in_bucket
from echoic.buckets import BucketFile
from echoic.errors import UnreadableError, quoted, unopened

__all__ = ["ByteStream", "Source", "StrPath"]

StrPath = str | bytes | os.PathLike[str] | os.PathLike[bytes]

_PIPE = "a pipe, socket or device; save its sound to a file first"


class Source:
    """An open file, regular or in a bucket, as PyAV reads it and as this package looks at it beside PyAV.

    Parameters
    ----------
    path : str, bytes or path

    Attributes
    ----------
    size : int
        Bytes, of the part that is shown.
    name : str
        What PyAV calls it by.
    error : OSError or None
        What the disk gave, as opposed to ffmpeg.

    Raises
    ------
    UnreadableError
        If it cannot be opened or is not a regular file; a pipe is not waited for.
    MissingDependencyError
        If it lies in a bucket, and the package that reads those is not installed.
    """

    def __init__(self, path: StrPath) -> None:
        self._begin = 0
        self._file: io.FileIO | BucketFile
        self.stamp: tuple[object, ...]
        if in_bucket(os.fsdecode(path)):
            self._file = BucketFile(os.fsdecode(path))
            self.stamp, self._file_size = self._file.stamp, self._file.size
        else:
            self._file = _open_regular(path)
            status = os.fstat(self._file.fileno())
            self.stamp = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
            self._file_size = status.st_size
        self.size = self._file_size
        # The suffix helps to tell raw formats apart; nothing else of the name is shown to ffmpeg.
        suffix = re.search(r"\.[A-Za-z0-9]{1,8}$", os.fsdecode(path))
        self.name = "audio" + (suffix[0] if suffix else "")
        self.error: OSError | None = None

    def show(self, begin: int = 0, end: int | None = None) -> None:
        """Be only a part of the file from now on, as if it were a file of its own."""
        self._begin = begin
        self.size = (self._file_size if end is None else end) - begin
        self.seek(0)

    def read(self, size: int) -> bytes:
        """Read up to ``size`` bytes; none at the end of the file and where the disk fails."""
        try:
            return self._file.read(min(size, max(0, self.size - self.tell()))) or b""
        except OSError as error:
            self.error = error
            return b""

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place, or return a negative number where ffmpeg tries out one that does not exist."""
        try:
            place = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self.tell(), os.SEEK_END: self.size}[whence]
            if place < 0:
                return -errno.EINVAL
            return self._file.seek(self._begin + place) - self._begin
        except (KeyError, OSError, OverflowError, ValueError):
            return -errno.EINVAL

    def tell(self) -> int:
        """Return the place from which is read next."""
        return self._file.tell() - self._begin

    def look(self, at: int, size: int) -> bytes:
        """Read elsewhere without moving the place from which ffmpeg reads on."""
        before = self.tell()
        self.seek(at)
        data = self.read(size)
        self.seek(before)
        return data

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _open_regular(path: StrPath) -> io.FileIO:
    name = quoted(path)
    # O_NONBLOCK: a pipe that nobody writes to then opens at once, to be refused below.
    flags = os.O_RDONLY | sum(getattr(os, flag, 0) for flag in ("O_NONBLOCK", "O_BINARY", "O_CLOEXEC"))
    try:
        descriptor = os.open(path, flags)
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno == errno.ENXIO:  # a socket
            raise UnreadableError(f"{name} is {_PIPE}") from None
        raise unopened(path, error) from None
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        if stat.S_ISDIR(mode):
            raise UnreadableError(f"{name} is a directory; give the files in it")
        raise UnreadableError(f"{name} is {_PIPE}")
    return io.FileIO(descriptor, "rb")


class ByteStream:
    """Bytes that come once, from front to back, and can be looked at before they are read.

    Parameters
    ----------
    receive : callable
        Returns the next bytes, some at a time, and none at the end.

    Attributes
    ----------
    error : OSError or None
        Why the bytes ended, if they broke off.
    """

    name = "audio"

    def __init__(self, receive: Callable[[], bytes]) -> None:
        self._receive = receive
        self._ahead = bytearray()
        self._over = False
        self.error: OSError | None = None

    def peek(self, size: int) -> bytes:
        """Return the next ``size`` bytes, fewer only before the end, and leave them to be read."""
        while len(self._ahead) < size and self._more():
            pass
        return bytes(self._ahead[:size])

    @property
    def ahead(self) -> bytes:
        """What has come and is not read yet."""
        return bytes(self._ahead)

    def read(self, size: int) -> bytes:
        """Return what comes next, up to ``size`` bytes and at least one; none at the end."""
        if not self._ahead:
            self._more()
        data = bytes(self._ahead[:size])
        del self._ahead[:size]
        return data

    def _more(self) -> bool:
        if not self._over:
            try:
                data = self._receive()
            except OSError as error:
                self.error = error
                data = b""
            self._ahead += data
            self._over = not data
        return not self._over
