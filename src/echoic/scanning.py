"""Finds the audio files under the paths that a person names.

A folder is searched to its depths for files with a known suffix; a file named outright is taken whatever it
is called. Hidden files and folders are passed over. Links are followed after all else, those to folders
first, so that a file that lies under the paths is known by its place: each folder is searched once, and a
link to a file that was found already is passed over. Hard links are files of their own.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from echoic.errors import quoted

__all__ = ["SUFFIXES", "Found", "Problem", "scan"]

#: What is taken for audio, or for video with a sound track, inside a folder.
SUFFIXES = frozenset(
    ".3gp .aac .ac3 .aif .aifc .aiff .alac .amr .ape .asf .au .avi .caf .dff .dsf .dts .eac3 .f4v .flac .flv"
    " .gsm .m2ts .m4a .m4b .m4v .mka .mkv .mov .mp1 .mp2 .mp3 .mp4 .mpc .mpeg .mpg .mts .oga .ogg .ogv .opus"
    " .ra .rm .snd .spx .tak .ts .tta .voc .vob .w64 .wav .wave .webm .wma .wmv .wv".split()
)


@dataclass(frozen=True, slots=True)
class Found:
    """A file that ought to hold audio; ``stamp`` changes when its content is written."""

    path: Path
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Problem:
    """A place that could not be looked at, and why in one sentence."""

    path: Path
    message: str


def scan(paths: Sequence[Path]) -> Iterator[Found | Problem]:
    """Walk the paths in order, folders by name; each file comes once, by its absolute path.

    Nothing is raised for what cannot be read: it comes as a :class:`Problem`.
    """
    walk = _Walk()
    for path in paths:
        yield from walk.visit(Path(os.path.abspath(path)), certain=True)
    for link in walk.folder_links:  # which lead to further ones, added at its end meanwhile
        yield from walk.visit(link, certain=True)
    for link in walk.other_links:
        yield from walk.visit(link, is_link=True)


class _Walk:
    """What was met so far, and the links put off until all else is done."""

    def __init__(self) -> None:
        self.folder_links: list[Path] = []
        self.other_links: list[Path] = []
        self._told: set[Path] = set()
        self._folders: set[tuple[int, int]] = set()
        self._files: set[tuple[int, int]] = set()

    def visit(self, path: Path, *, certain: bool = False, is_link: bool = False) -> Iterator[Found | Problem]:
        """Find what lies at a path; ``certain`` of what was named or is a folder: it needs no suffix."""
        if path in self._told:
            return
        try:
            status = path.stat()
            identity = (status.st_dev, status.st_ino)
            if stat.S_ISDIR(status.st_mode):
                # A link to a folder above would lead round in a circle.
                if identity in self._folders:
                    return
                self._folders.add(identity)
                entries = _listed(path)
            elif not certain and (
                path.suffix.lower() not in SUFFIXES or (is_link and identity in self._files)
            ):
                return
            else:
                self._files.add(identity)
                self._told.add(path)
                # Whether it is a regular file is for the decoder to say: its sentence is the clearer one.
                yield Found(path, status.st_size, status.st_mtime_ns)
                return
        except OSError as error:
            # A link into a closed folder may lead to any amount of audio, whatever it is called.
            closed = is_link and isinstance(error, PermissionError)
            if certain or closed or path.suffix.lower() in SUFFIXES:
                self._told.add(path)
                yield Problem(
                    path, f"{quoted(path)} cannot be read ({error.strerror}); check that it is there"
                )
            return
        for name, is_folder, entry_is_link in entries:
            if name.startswith("."):
                continue
            if not entry_is_link:
                yield from self.visit(path / name, certain=is_folder)
            elif is_folder:
                self.folder_links.append(path / name)
            else:
                self.other_links.append(path / name)


def _listed(folder: Path) -> list[tuple[str, bool, bool]]:
    """List a folder by name: each entry with whether it is a folder and whether it is a link."""
    with os.scandir(folder) as entries:
        return sorted((entry.name, _is_folder(entry), entry.is_symlink()) for entry in entries)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    if entry.is_symlink():
        return os.path.isdir(entry)  # noqa: PTH112 - the others raise where a link leads to a closed place
    return entry.is_dir(follow_symlinks=False)
