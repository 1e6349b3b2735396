"""Finds the audio files under the paths that a person names.

A folder is searched to its depths for files with a known suffix; others are passed over and counted. A file
named outright is taken whatever it is called, unless it is known to hold subtitles: a shell's ``*`` names
those beside a film too. Hidden files and folders are passed over. Links are followed after all else, those to
folders first, so that a file that lies under the paths is known by its place: each folder is searched once,
and a link to a file that was found already is passed over. Hard links are files of their own. In a bucket the
same holds of what begins with a path and a slash, and there are no links.
"""

from __future__ import annotations

import os
import stat
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence, Set
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple

from echoic import buckets
from echoic.addresses import in_bucket
from echoic.errors import UnreadableError, unopened

__all__ = ["PICTURES", "SUBTITLES", "SUFFIXES", "Found", "Problem", "is_hidden", "scan", "suffix_of"]

_SOUND = """
.3ga .722 .a52 .aa .aa3 .aac .aax .ac3 .ac4 .adts .aif .aifc .aiff .alac .amr .ape .apl .aptx .aptxhd .au .avr
.awb .bonk .bwf .caf .dff .dsf .dss .dts .dtshd .eac3 .ec3 .f4a .f4b .fap .flac .g722 .g723_1 .g729 .gsm
.hcom .iamf .ircam .isma .laf .latm .lbc .lc3 .loas .m2a .m4a .m4b .m4p .m4r .mac .mka .mlp .mp+ .mp1 .mp2
.mp3 .mpa .mpc .mpga .msbc .nist .oga .ogg .oma .omg .opus .osq .paf .pvf .qcp .qoa .ra .rf64 .rka .sbc .sds
.sf .shn .sln .snd .sox .spdif .sph .spx .tak .tco .thd .tta .voc .vqe .vqf .vql .w64 .wa .wav .wave .weba
.wma .wsd .wv .xwma
"""
_OF_GAMES = """
.16svx .8svx .acm .adp .ads .adx .aea .afc .aix .ast .bcstm .bfstm .binka .brstm .dtk .fsb .fwse .genh .hca
.iff .mca .msf .mtaf .musx .nsp .roq .rsd .rso .sdx .smk .ss2 .svag .svs .svx .thp .usm .vag .vpk .xa .xmd
.xmv .xvag
"""
_FILMS = """
.3g2 .3gp .3gp2 .3gpp .amv .asf .avi .bik .dav .dif .divx .dv .dvd .dvr-ms .evo .f4p .f4v .flv .gxf .ism
.ismv .ivr .kux .lvf .m1s .m2p .m2t .m2ts .m4v .mj2 .mk3d .mkv .mod .mov .mp4 .mp4v .mpe .mpeg .mpg .mpg2
.mpv .mts .mxf .nsv .nut .nuv .ogm .ogv .ogx .pmp .psp .qt .rm .rmvb .tod .tp .trp .ts .ty .ty+ .vob .vro
.webm .wmv .wtv .xvid
"""

#: What is taken for audio, or for video with a sound track, inside a folder: all that ffmpeg knows by its
#: suffix, and what recorders and archives call the same. Left out is what holds pictures or text alone, and
#: raw samples, whose rate nobody can know.
SUFFIXES = frozenset(f"{_SOUND} {_OF_GAMES} {_FILMS}".split())

#: What holds a picture that can be asked by, or few of them, and no sound.
PICTURES = frozenset(".apng .bmp .gif .jfif .jpe .jpeg .jpg .png .tif .tiff .webp".split())

#: What holds the words to a film or song, and no sound.
SUBTITLES = frozenset(
    ".aqt .ass .dfxp .idx .jss .lrc .mcc .mks .mpl .mpl2 .pjs .rt .sami .sbv .scc .smi .srt .ssa .stl"
    " .sub .sup .ttml .usf .vtt .webvtt".split()
)


class Found(NamedTuple):
    """A file that ought to hold audio; its size or time stamp changes when its content is written."""

    path: str
    size: int
    mtime_ns: int


class Problem(NamedTuple):
    """A place that could not be looked at, and why in one sentence."""

    path: str
    message: str


def scan(paths: Sequence[Path], *, passed_over: Counter[str] | None = None) -> Iterator[Found | Problem]:
    """Walk the paths in order, folders by name; each file comes once, by its absolute path.

    Nothing is raised for what cannot be read: it comes as a :class:`Problem`.

    Parameters
    ----------
    paths : sequence of Path
        Files and folders.
    passed_over : Counter of str, optional
        Counts by suffix, in lower case, the files that are not taken for audio.
    """
    named = [os.path.abspath(path) for path in paths]
    walk = _Walk(frozenset(named))
    for path in named:
        yield from walk.look_into_bucket(path) if in_bucket(path) else walk.visit(path, certain=True)
    for link in walk.folder_links:  # which lead to further ones, added at its end meanwhile
        yield from walk.visit(link, certain=True)
    for link in walk.other_links:
        yield from walk.visit(link, is_link=True)
    if passed_over is not None:
        passed_over.update(walk.passed_over)
        passed_over.update(suffix_of(path) for path in walk.named_passed_over - walk.told)


def is_hidden(path: str) -> bool:
    """Tell whether a file or folder is passed over because of its name."""
    return path[path.rfind(os.sep) + 1 :].startswith(".")


def suffix_of(path: str) -> str:
    """Return the suffix of a path in lower case; :attr:`~pathlib.PurePath.suffix` takes far longer."""
    stem, _, suffix = path[path.rfind(os.sep) + 1 :].rpartition(".")
    return f".{suffix.lower()}" if stem and suffix else ""


class _Walk:
    """What was met so far, and the links put off until all else is done.

    Only a path that was named can be met twice, since each folder is searched once: of all others, which may
    be millions, no path is kept.
    """

    def __init__(self, named: Set[str]) -> None:
        self.told: set[str] = set()  # of those that were named
        self.named_passed_over: set[str] = set()
        self.passed_over: Counter[str] = Counter()  # the others, by suffix
        self.folder_links: list[str] = []
        self.other_links: list[str] = []
        self._named = named
        self._of_buckets: set[str] = set()  # folders, of those that were named
        self._folders: set[tuple[int, int]] = set()
        self._files: defaultdict[int, array[int]] = defaultdict(partial(array, "Q"))  # by device

    def visit(self, top: str, *, certain: bool = False, is_link: bool = False) -> Iterator[Found | Problem]:
        """Find what lies at a path and under it; ``certain`` of what was named: it needs no suffix."""
        item = self._look(top, certain, is_link)
        if not isinstance(item, list):
            if item is not None:
                yield item
            return
        depths = [iter(item)]  # no recursion: folders lie deeper in each other than Python goes
        while depths:
            for path, is_folder, entry_is_link in depths[-1]:
                if entry_is_link:
                    (self.folder_links if is_folder else self.other_links).append(path)
                    continue
                item = self._look(path, is_folder, False)
                if isinstance(item, list):
                    depths.append(iter(item))
                    break
                if item is not None:
                    yield item
            else:
                depths.pop()

    def look_into_bucket(self, top: str) -> Iterator[Found | Problem]:
        """Find what lies at a path in a bucket and under it."""
        try:
            depths = [iter([buckets.entry_at(top)])]
        except UnreadableError as error:
            yield Problem(top, str(error))
            return
        while depths:
            for entry in depths[-1]:
                certain = entry.path == top
                if is_hidden(entry.path) and not certain:
                    continue
                if entry.path in self.told or entry.path in self._of_buckets:
                    continue
                if entry.problem:
                    yield Problem(entry.path, entry.problem)
                elif entry.is_folder:
                    if entry.path in self._named:
                        self._of_buckets.add(entry.path)
                    try:
                        depths.append(iter(buckets.entries(entry.path)))
                    except UnreadableError as error:
                        yield Problem(entry.path, str(error))
                        continue
                    break
                elif self._is_sound(entry.path, certain):
                    self._tell(entry.path)
                    yield Found(entry.path, entry.size, entry.mtime_ns)
                else:
                    self._pass_over(entry.path)
            else:
                depths.pop()

    def _look(
        self, path: str, certain: bool, is_link: bool
    ) -> Found | Problem | list[tuple[str, bool, bool]] | None:
        """Tell what lies at a path: of a folder, its entries."""
        if path in self.told:
            return None
        try:
            status = os.stat(path)  # noqa: PTH116 - no object for each of a million files
            identity = (status.st_dev, status.st_ino)
            if stat.S_ISDIR(status.st_mode):
                # A link to a folder above would lead round in a circle.
                if identity in self._folders:
                    return None
                self._folders.add(identity)
                return _listed(path)
        except OSError as error:
            # A link into a closed folder may lead to any amount of audio, whatever it is called.
            closed = is_link and isinstance(error, PermissionError)
            if not (certain or closed or suffix_of(path) in SUFFIXES):
                return None
            self._tell(path)
            return Problem(path, str(unopened(path, error)))
        if is_link and identity in self._found:
            return None
        if self._is_sound(path, certain):
            if is_link:
                self._found.add(identity)
            else:
                self._files[status.st_dev].append(status.st_ino)
            self._tell(path)
            # Whether it is a regular file is for the decoder to say: its sentence is the clearer one.
            return Found(path, status.st_size, status.st_mtime_ns)
        if not is_link:
            self._pass_over(path)
        return None

    def _is_sound(self, path: str, certain: bool) -> bool:
        suffix = suffix_of(path)
        return suffix in SUFFIXES or (certain and suffix not in SUBTITLES)

    def _pass_over(self, path: str) -> None:
        if path in self._named:
            self.named_passed_over.add(path)
        else:
            self.passed_over[suffix_of(path)] += 1

    @cached_property
    def _found(self) -> set[tuple[int, int]]:
        """The files found, a set once nothing but links to files is left: it takes ten times the memory."""
        return {(device, inode) for device, inodes in self._files.items() for inode in inodes}

    def _tell(self, path: str) -> None:
        if path in self._named:
            self.told.add(path)


def _listed(folder: str) -> list[tuple[str, bool, bool]]:
    """List a folder by name: each entry with whether it is a folder and whether it is a link."""
    with os.scandir(folder) as entries:
        return sorted(
            (entry.path, _is_folder(entry), entry.is_symlink())
            for entry in entries
            if not entry.name.startswith(".")
        )


def _is_folder(entry: os.DirEntry[str]) -> bool:
    if entry.is_symlink():
        return os.path.isdir(entry)  # noqa: PTH112 - the others raise where a link leads to a closed place
    return entry.is_dir(follow_symlinks=False)
