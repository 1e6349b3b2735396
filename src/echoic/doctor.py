"""Examines an installation and a library, and says what to do about what it finds."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

from echoic.encoders.onnx import OnnxEncoder
from echoic.encoders.registry import MODELS, Entry, available
from echoic.errors import EchoicError, MissingDependencyError
from echoic.library import Library
from echoic.types import Progress

__all__ = ["Finding", "examine"]

# What each extra adds, by the packages that show that it is there.
_EXTRAS = {
    "milvus": ("vectors in Milvus or Zilliz Cloud", ("pymilvus", "milvus-lite")),
    "postgres": ("a catalog in PostgreSQL", ("psycopg",)),
    "server": ("serving over HTTP", ("fastapi", "uvicorn", "prometheus_client")),
    "parquet": ("vectors in Parquet", ("pyarrow",)),
    "ray": ("encoding on a Ray cluster", ("ray",)),
    "cloud": ("files in buckets", ("fsspec", "s3fs")),
    "mic": ("listening to the microphone", ("sounddevice",)),
    "train": ("training encoders", ("torch", "pytorch-metric-learning", "onnx", "onnxscript")),
}
_CORE = ("numpy", "scipy", "av", "soxr", "onnxruntime", "faiss-cpu")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; ``missing`` is a choice, ``broken`` needs a person."""

    what: str
    state: Literal["ok", "missing", "broken"]
    detail: str


def examine(
    library: Library, *, read_files: bool = False, progress: Callable[[Progress], None] | None = None
) -> list[Finding]:
    """Look at Python, packages, microphones, decoders, encoders and the library, in this order.

    ``read_files`` and ``progress`` are as of :meth:`~echoic.library.Library.check`.
    """
    findings = [*_packages(), *_microphones(), *_decoders(), *_encoders()]
    return [*findings, *_library(library, read_files, progress)]


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _packages() -> Iterator[Finding]:
    yield Finding("python", "ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    for package in _CORE:
        found = _version(package)
        if found is None:
            yield Finding(package, "broken", f"is not installed: pip install {package}")
        else:
            yield Finding(package, "ok", found)
    for extra, (purpose, packages) in _EXTRAS.items():
        absent = [package for package in packages if _version(package) is None]
        if absent:
            yield Finding(extra, "missing", f"for {purpose}: pip install 'echoic[{extra}]'")
        else:
            yield Finding(extra, "ok", f"{purpose}: {', '.join(f'{p} {_version(p)}' for p in packages)}")


def _microphones() -> Iterator[Finding]:
    from echoic.audio.live import microphones

    try:
        names = microphones()
    except MissingDependencyError as error:
        if error.system:  # without the extra, its line has said so
            yield Finding("microphone", "missing", str(error))
    except EchoicError as error:
        yield Finding("microphone", "missing", str(error))
    else:
        yield Finding(
            "microphone", "ok" if names else "missing", "; ".join(names) or "no device to listen to"
        )


def _decoders() -> Iterator[Finding]:
    import av

    wanted = ("mp3", "aac", "flac", "vorbis", "opus", "pcm_s16le", "alac", "wmav2")
    absent = [codec for codec in wanted if codec not in av.codecs_available]
    if absent:
        yield Finding(
            "ffmpeg", "broken", f"cannot decode {', '.join(absent)}: pip install --force-reinstall av"
        )
    else:
        yield Finding("ffmpeg", "ok", f"libavcodec {'.'.join(map(str, av.library_versions['libavcodec']))}")


def _encoders() -> Iterator[Finding]:
    try:
        registry = available()
    except EchoicError as error:
        yield Finding("encoders", "broken", str(error))
        return
    for entry in registry:
        try:
            encoder = registry.load(entry.name)
            if isinstance(encoder, OnnxEncoder):
                encoder.check()
        except EchoicError as error:
            yield Finding(f"encoder {entry.name}", "broken", f"{error}: {_mend(entry)}")
        else:
            spec = encoder.spec
            yield Finding(f"encoder {entry.name}", "ok", f"revision {spec.revision}, {spec.dim}-d")


def _mend(entry: Entry) -> str:
    if entry.provider == MODELS:
        return f"echoic models remove {entry.name} && echoic models add {entry.name}"
    return f"pip install --force-reinstall --no-deps {entry.provider}"


def _library(
    library: Library, read_files: bool, progress: Callable[[Progress], None] | None
) -> Iterator[Finding]:
    name = f"library {library.folder}"
    if not library.exists():
        yield Finding(name, "missing", "not made yet: echoic index FOLDER")
        return
    try:
        status = library.status()
        troubles = library.check(read_files=read_files, progress=progress)
    except EchoicError as error:
        yield Finding(name, "broken", str(error))
        return
    for trouble in troubles:
        yield Finding(name, "broken", trouble)
    if not troubles:
        yield Finding(
            name, "ok", f"{status.files} files, {sum(status.segments.values())} segments, all accounted for"
        )
