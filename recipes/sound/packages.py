"""Debian's packages of freely licensed sounds: more kinds of sound to listen to, without labels.

::

    mkdir debs && cd debs && apt-get download $(python recipes/sound/packages.py --names)
    python recipes/sound/packages.py --unpack debs -o packages

Only their audio and ``copyright`` files are unpacked, also out of the archives that some games keep theirs
in. Every licence here allows commercial use; which file has which is in the ``copyright`` file beside it.
What the set ``sfx`` is made of (Freedoom, Minetest, Red Eclipse, Sonic Pi) is left out, to measure by; so are
packages with sounds under "sampling" licences (GCompris, OpenSFX, SuperTuxKart) or terms of their own (Battle
Tanks).
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import NamedTuple

AUDIO = {".wav", ".ogg", ".mp3", ".flac", ".opus", ".oga"}
ARCHIVES = {".pk3", ".wz", ".zip"}
LARGEST = 4_000_000  # bytes of a file in an archive; what is larger is music
MOST = 600  # files of a package, drawn at random: some hold thousands of one kind
SPOKEN = ("_desc", "/Voices/", "/voices/", "/voice/", "/audio/sequence")  # parts of paths
MOST_SPOKEN = 200  # of those


class Package(NamedTuple):
    """A package in the version that was listened to, and the licences of its sounds."""

    name: str
    version: str
    licences: str


PACKAGES = tuple(
    Package(*line.split(maxsplit=2))
    for line in """
0ad-data 0.0.26-1 CC-BY-SA-3.0
boswars-data 2.7+svn160110-5 GPL-2+
bucklespring-data 1.4.0-2 GPL-2+
caveexpress-data 2.5.2-1 CC-BY-SA-4.0, GPL-3+
colobot-common-sounds 0.2.0-2 GPL-3+
deepin-sound-theme 15.10.6-1 GPL-3+
endless-sky-data 0.9.8-1.2 CC-BY-SA-3.0, CC-BY-SA-4.0, CC-BY-4.0, public domain
flare-game 1.14-1 CC-BY-SA-3.0+, GPL-3+
flightgear-data-base 1:2020.3.16+dfsg-1 GPL-2+
freedroidrpg-data 1.0-1 GPL-2+, GPL-3, CC0-1.0
gnome-audio 2.22.2-1.2 CC-BY-SA-2.0, CC-BY-3.0
hedgewars-data 1.0.2-6 GPL-2, CC-BY-SA-3.0
hydrogen-drumkits 2017.09.19~dfsg-1 GPL-2, GPL-2+, CC-BY-3.0, CC-BY-SA-3.0, CC0
lincity-ng-data 2.9~git20150314-5 GPL-2+
lmms-common 1.2.2+dfsg1-6 GPL-2+, CC-BY-SA-3.0, CC-BY-SA-4.0
lomiri-sounds 22.02-1 CC0-1.0, CC-BY-3.0, CC-BY-4.0, CC-BY-SA-3.0
lugaru-data 1.2-6 CC-BY-SA-3.0, CC-BY-SA-4.0, GPL-2+
naev-data 0.8.2-1 GPL-3, CC-BY-3.0, CC-BY-SA-3.0, public domain
nexuiz-data 2.5.2-12 GPL-2+
openarena-data 0.8.5split-14 GPL-2+
opencity-data 0.0.6.5stable-5 GPL-2+
openclonk-data 8.1-3 CC-BY-3.0, CC0
oxygen-sounds 4:5.27.5-2 LGPL-3+
pingus-data 0.7.6-5.1 GPL-2+
planetblupi-common 1.14.2-3 GPL-3+
pysiogame 4.20.01-1 GPL-3+, CC-BY-3.0
ri-li-data 2.0.1+ds2-2 GPL-2+
scorched3d-data 44+dfsg-8 GPL-2+, CC-BY-SA-3.0, public domain
scratch 1.4.0.6~dfsg1-6.1 CC-BY-SA-3.0
searchandrescue-data 1.3.0-1.1 GPL-2
sound-theme-freedesktop 0.8-2 CC-BY-SA-3.0, CC-BY-3.0, GPL-2+
supertux-data 0.6.3-2 GPL-2+, GPL-3+, CC-BY-SA, CC0-1.0
torcs-data 1.3.7+dfsg-5 GPL-2+, Free Art License
trigger-rally-data 0.6.6.1-3 GPL-2+, CC0, CC-BY-3.0, CC-BY-SA-3.0
tuxmath-data 2.0.3-9 GPL-2+, public domain
tuxpaint-stamps-default 2022.06.04-1 GPL-2
tuxtype-data 1.8.3-5.1 GPL-2+
ufoai-sound 2.5-2 GPL-2+, CC-BY-3.0, CC-BY-SA-3.0, public domain
unknown-horizons 2019.1-6 CC-BY-SA-3.0, GPL-2+
warmux-data 1:11.04.1+repack2-4 GPL-2+
warzone2100-data 4.3.3-3 GPL-2+, CC0, CC-BY-SA-3.0
wesnoth-1.16-data 1:1.16.9-1 GPL-2
widelands-data 2:1.1-3 GPL-2+, CC-BY-SA-3.0
yaru-theme-sound 22.10.3-1 CC-BY-SA-4.0
""".strip().splitlines()
)


def unpack(debs: Path, folder: Path) -> None:
    """Unpack the audio, the archives that may hold some, and the licences: a folder a package."""
    for package in PACKAGES:
        target = folder / package.name
        files = sorted(debs.glob(f"{package.name}_*.deb"))
        if target.exists() or not files:
            continue
        partial = folder / f"{package.name}.part"
        partial.mkdir(parents=True, exist_ok=True)
        wanted = [f"*{suffix}" for suffix in sorted(AUDIO | ARCHIVES)] + ["*/copyright"]
        with subprocess.Popen(["dpkg", "--fsys-tarfile", files[-1]], stdout=subprocess.PIPE) as tar:
            # 2: some pattern met nothing
            done = subprocess.run(
                ["tar", "-x", "-C", partial, "--wildcards", *wanted],
                stdin=tar.stdout,
                stderr=subprocess.DEVNULL,
            )
        if done.returncode not in (0, 2):
            raise RuntimeError(f"{files[-1]} cannot be unpacked")
        for path in sorted(partial.rglob("*")):
            if path.suffix in ARCHIVES and path.is_file():
                unzip(path)
        partial.rename(target)


def unzip(path: Path) -> None:
    """Put what an archive has of audio in its place."""
    with zipfile.ZipFile(path) as archive:
        for item in archive.infolist():
            if Path(item.filename).suffix.lower() in AUDIO and item.file_size <= LARGEST:
                archive.extract(item, path.with_name(path.name + ".d"))
    path.unlink()


def chosen(folder: Path) -> Iterator[tuple[Package, Path]]:
    """List what is listened to: no content twice, of no package too much, of speech little."""
    known: set[bytes] = set()
    for package in PACKAGES:
        paths = sorted(
            p for p in (folder / package.name).rglob("*") if p.suffix.lower() in AUDIO and p.is_file()
        )
        Random(package.name).shuffle(paths)
        spoken = [path for path in paths if any(part in str(path) for part in SPOKEN)]
        kept = set(spoken[MOST_SPOKEN:])
        paths = [path for path in paths if path not in kept][:MOST]
        for path in sorted(paths):
            digest = hashlib.sha256(path.read_bytes()).digest()
            if digest not in known:
                known.add(digest)
                yield package, path


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--names", action="store_true", help="print name=version of each, for apt-get download"
    )
    parser.add_argument("--unpack", type=Path, metavar="DEBS", help="folder of what apt-get downloaded")
    parser.add_argument("-o", "--output", type=Path, help="folder to unpack to")
    options = parser.parse_args()
    if options.names:
        print(*(f"{package.name}={package.version}" for package in PACKAGES))
    elif options.unpack and options.output:
        unpack(options.unpack, options.output)
        print(f"{sum(1 for _ in chosen(options.output))} files to listen to in {options.output}")
    else:
        parser.error("say --names, or --unpack DEBS -o FOLDER")


if __name__ == "__main__":
    main()
