"""Writes a small library of the schema that the code has: ``python -m tests.golden.make_library FOLDER``.

Those under ``tests/golden/libraries`` were made so, each by the last code of its schema, and tests open them
with today's. When the schema changes, make one with the code before.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from echoic import Library
from echoic.audio.encode import write_audio
from echoic.audio.synthesis import make_sound

RATE = 16_000
PLACE = Path("/sounds")  # where the library takes its files to lie; there is no such folder
SOUNDS = {
    "bell.wav": ("bells", {"genre": "Jazz; Funk", "artist": "AC/DC", "title": "One; two"}),
    "kick.webm": ("drums", {"genre": "Straßenmusik"}),  # the muxer of Matroska notes itself as "encoder"
}


def write_sound(folder: Path, name: str) -> Path:
    """Write one of the sounds, with its tags. The .wav is the same to the byte wherever it is written."""
    family, tags = SOUNDS[name]
    path = folder / name
    write_audio(path, make_sound(family, 0, sample_rate=RATE)[: 2 * RATE], RATE, tags=tags)
    return path


def main(folder: Path) -> None:
    """Make the library; the sounds themselves are not kept."""
    with tempfile.TemporaryDirectory() as sounds, Library(folder) as library:
        paths = [write_sound(Path(sounds), name) for name in SOUNDS]
        library.index(paths, encoders=["spectral"], tags=["Mine", "mood=Dark"], jobs=1)
        catalog, _ = library._open()
        with catalog.transaction():
            for record in library.files():
                catalog.move_file(record.id, PLACE / Path(record.path).name, 0)
    shutil.rmtree(folder / "index")
    (folder / "writer.lock").unlink()


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
