"""Measure what ``echoic index`` does before it encodes anything: compare files with a large library.

::

    python -m benchmarks.planning [--quick] [--than FOLDER]

``--than`` is a checkout of another build of Echoic (``git worktree add FOLDER REVISION``), which does the
same beside this one. Libraries and files are made up: the vectors are random, the files are no audio, and no
worker is started. Times are those of the CPU; memory is by how much a process grew that had indexed in
another library before. Each figure is from a process of its own.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.tables import machine, print_table

_HERE = Path(__file__).parents[1]

# Run with the package of either build, so it uses what both have.
_CHILD = '''
import os, resource, sys, time
from pathlib import Path
import numpy as np
from echoic import Library
from echoic.encoders.registry import load_encoder
from echoic.types import AudioInfo, Segments

what, n, root = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
folder = root / "sounds"

class NoWork:
    """In the place of the workers."""
    def run(self, tasks):
        self.asked = sum(1 for _ in tasks)
        return iter(())
    def close(self):
        pass

def holder(library):
    """Give what holds the workers, in builds before and after it had a class of its own."""
    return getattr(library, "_opening", library)

def put_segments(catalog, store, i, key, starts, ends, vectors):
    """Write segments, whose spans were the catalog's once, and are the store's."""
    if hasattr(catalog, "put_segments"):
        catalog.put_segments(i, key, starts, ends)
        store.replace(i, vectors)
    else:
        catalog.put_encoded(i, key, len(starts))
        store.replace(i, Segments(starts, ends, vectors))

def opened():
    library = Library(root / "library")
    holder(library)._pool = (1, NoWork())
    return library

def write(numbers):
    for number in numbers:  # of one size only where that is what matters
        filling = b"" if "more" in sys.argv[4] else b"." * (number * 7919 % 4_000)
        place = folder / f"{number // 1000:03d}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number:06d}.wav").write_bytes(b"%08d" % number + filling)

def make(n):
    """A library of n files with one segment each."""
    spec = load_encoder("spectral").spec
    (root / "empty").mkdir(parents=True)
    with opened() as library:
        library.index([root / "empty"], encoders=["spectral"], jobs=1)
        catalog, spaces = library._open()
        store = spaces.store(spec)
        vectors = np.random.default_rng(0).normal(size=(n, 1, spec.dim)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
        with catalog.transaction():
            for number, vector in enumerate(vectors):
                path = folder / f"{number // 1000:03d}" / f"{number:06d}.wav"
                status = path.stat()
                info = AudioInfo(3.0, 44_100, 2, "pcm", tags={"artist": f"a{number % 100}", "genre": "b"})
                digest = f"{number:064d}"
                i = catalog.put_file(path, status.st_size, status.st_mtime_ns, digest, info, "indexed")
                put_segments(catalog, store, i, spec.key, np.zeros(1), np.full(1, 3.0), vector)
        store.flush()

if what == "make":
    write(range(n))
    make(n)
else:
    if what == "as many more":
        write(range(n, 2 * n))
        paths, due = [folder], n
    else:
        write([n])
        paths = [folder / f"{n // 1000:03d}" / f"{n:06d}.wav"] if what == "one, by name" else [folder]
        due = 1
    with opened() as library:
        library.status()  # what opening costs is another matter, and so is what importing does
        with Library(root / "tiny") as tiny:
            holder(tiny)._pool = holder(library)._pool
            tiny.index([root / "empty"], encoders=["spectral"], jobs=1)
            holder(tiny)._pool = None
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        begun = time.process_time()
        library.index(paths, jobs=1)
        elapsed = time.process_time() - begun
        asked = holder(library)._pool[1].asked
        assert asked == due, asked
    print(elapsed, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
'''


def measure(build: Path, what: str, n: int) -> tuple[float, float]:
    """Return the CPU seconds that one run took, and by how many MiB it made the process grow."""
    environment = os.environ | {"PYTHONPATH": str(build / "src"), "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as root:
        for step in ("make", what):
            command = [sys.executable, "-c", _CHILD, step, str(n), root, what]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            if done.returncode:
                raise RuntimeError(done.stderr)
        seconds, megabytes = map(float, done.stdout.split())
    return seconds, megabytes


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.planning")
    parser.add_argument("--quick", action="store_true", help="a tenth of the files")
    parser.add_argument("--than", type=Path, help="checkout of another build to measure beside this one")
    options = parser.parse_args(arguments)
    share = 10 if options.quick else 1
    rows = []
    for title, what, n in (
        ("{0} new files beside {0} of the same size", "as many more", 4_000 // share),
        ("1 file, named, beside {0}", "one, by name", 50_000 // share),
        ("1 file, its folder named, beside {0}", "one, in its folder", 50_000 // share),
    ):
        this = measure(_HERE, what, n)
        row = [title.format(f"{n:,}"), f"{this[0]:.3f} s", f"{this[1]:.1f} MiB"]
        if options.than is not None:
            other = measure(options.than.absolute(), what, n)
            row += [f"{other[0]:.3f} s", f"{other[1]:.1f} MiB"]
            row += [f"{this[0] / other[0]:.3f}", f"{this[1] / other[1]:.2f}" if other[1] else "-"]
        rows.append(row)
    header = ["index", "CPU time", "memory"]
    if options.than is not None:
        header += ["the other's time", "memory", "time, ratio", "memory, ratio"]
    print_table("Planning", header, rows, machine())
    return 0


if __name__ == "__main__":
    sys.exit(main())
