"""What an indexing run has to do, told quickly and told file by file."""

import os
import shutil
import tempfile
from pathlib import Path
from unittest import mock

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from echoic import Library, indexing
from echoic.analysis.workers import digest_of
from echoic.encoders.registry import load_encoder
from echoic.types import AudioInfo, Segments

SPEC = load_encoder("spectral").spec

# Neighbours in a walk, which goes by folder and name, are none in the catalog, which goes by whole paths.
NAMES = ["a.wav", "a/x.wav", "a/b/x.wav", "a (2)/x.wav", "a-.wav", "b.wav", "é.wav", "\udce9.wav", "𝄞/x.wav"]
HOW = [
    "as it was",
    "touched",
    "written",
    "grown",
    "gone",
    "moved",
    "new",
    "failed",
    "silent",
    "no vectors",
    "damaged",
]


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, ns=(10**18, 10**18))


def index(library, path, how):
    """Put a file into a library as if it had been decoded."""
    catalog, spaces = library._open()
    status = path.stat()
    stamp = path, status.st_size, status.st_mtime_ns
    with catalog.transaction():
        if how == "failed":
            catalog.put_failure(*stamp, "no sound")
            return
        i = catalog.put_file(*stamp, digest_of(path), AudioInfo(1.0, 8_000, 1, "pcm"), "indexed")
        if how == "no vectors":
            return
        n = int(how != "silent")
        catalog.put_encoded(i, SPEC.key, n)
        if how != "damaged":
            vectors = np.eye(1, SPEC.dim, dtype=np.float32)[:n]
            spaces.store(SPEC).replace(i, Segments(np.zeros(n), np.ones(n), vectors))


def change(path, how, seed):
    if how == "touched":
        os.utime(path, ns=(2 * 10**18, 2 * 10**18))
    elif how == "written":
        path.write_bytes(b"%03d" % (seed + 500))
    elif how == "grown":
        path.write_bytes(b"%03d and more" % seed)
    elif how == "gone":
        path.unlink()
    elif how == "moved":
        path.rename(path.with_name(f"moved {path.name}"))


def plan_of(root, *, quickly):
    """Plan a run over a tree; return the plan, and the catalog after it."""
    with Library(root / "library") as library:
        catalog, spaces = library._open()
        planner = indexing._Planner(catalog, spaces.stores(), {SPEC.key: "spectral"}, [SPEC.key], {}, None)
        if not quickly:
            planner._unchanged = lambda items: {}
        with catalog.writing():
            plan = planner.plan([root / "sounds"], frozenset())
        return plan, [(r.path, r.size, r.mtime_ns, r.state, r.encoders) for r in library.files()]


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(NAMES), st.sampled_from(HOW), min_size=1), st.integers(1, 9))
def test_what_is_told_quickly_is_what_is_told_file_by_file(files, at_once):
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(indexing, "_AT_ONCE", at_once):
        root = Path(folder) / "here"
        write(root / "sounds" / "cover.jpg", b"")  # an empty folder would be taken for an unmounted disk
        for seed, name in enumerate(files):
            write(root / "sounds" / name, b"%03d" % seed)
        with Library(root / "library") as library:
            catalog, spaces = library._open(create=True)
            with catalog.writing():
                spaces.settle_encoders(["spectral"])
            for seed, (name, how) in enumerate(files.items()):
                if how != "new":
                    index(library, root / "sounds" / name, how)
                change(root / "sounds" / name, how, seed)
        shutil.copytree(root, Path(folder) / "kept")
        quick = plan_of(root, quickly=True)
        shutil.rmtree(root)
        (Path(folder) / "kept").rename(root)
        assert quick == plan_of(root, quickly=False)
        plan, _ = quick
        count = list(files.values()).count
        assert plan.unchanged == count("as it was") + count("touched") + count("silent")
        assert (plan.moved, plan.skipped, plan.removed) == (count("moved"), count("failed"), count("gone"))
        assert len(plan.work) == sum(map(count, ["written", "grown", "new", "no vectors", "damaged"]))
