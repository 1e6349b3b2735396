"""A map of the library: each file a point, near to what it sounds like as far as a plane can show it.

The axes are the two directions in which the files' vectors differ most (principal components), stretched so
that points lie as dense everywhere. It is drawn once for each state of the library.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
from fastapi import APIRouter, Request
from fastapi.responses import Response

from echoic.encoders.base import mean_vector
from echoic.opening import Opening
from echoic.server.problems import refusals
from echoic.server.sending import send
from echoic.server.service import Service
from echoic.server.shapes import MapShape, text_of
from echoic.types import Float32

__all__ = ["MOST_POINTS", "Mapping", "flatten", "router"]

router = APIRouter(prefix="/v1/map")

MOST_POINTS = 20_000
_AT_ONCE = 256  # files whose vectors are read at once
_MOST_FOLDERS = 12  # that are told apart; the others are together
_STRETCHED = 0.6  # how far from the components themselves towards even density


@router.get("", response_model=MapShape, responses=refusals(429))
async def show(request: Request) -> Response:
    """Return a point for each file, 20,000 at most; what sounds alike lies near to each other."""
    service: Service = request.app.state.service
    mapping = await service.looks.run(Mapping, service.holdings.opening)
    key = await service.looks.run(mapping.state)
    return send(request, await service.make(key, ".json", "application/json", mapping.write))


class Mapping:
    """Draws maps of what is open."""

    def __init__(self, opening: Opening) -> None:
        self._catalog, spaces = opening.get()
        self._spec = spaces.chosen(None, "sounds")[1]
        self._store = spaces.store(self._spec)

    def state(self) -> tuple[object, ...]:
        """Tell states of the library apart: where which sounds lie, and which have vectors."""
        facts = hashlib.sha256(self._store.file_ids().tobytes())
        for record in self._catalog.files():
            facts.update(repr((record.id, record.path, record.digest)).encode("utf-8", "surrogateescape"))
        return "map", self._spec.key, facts.hexdigest()

    def draw(self) -> MapShape:
        """Place all files, or as many as a map may have, drawn evenly from all."""
        ids = self._store.file_ids()
        if len(ids) > MOST_POINTS:
            ids = ids[np.linspace(0, len(ids) - 1, MOST_POINTS).astype(np.int64)]
        placed: list[int] = []
        vectors: list[Float32] = []
        for at in range(0, len(ids), _AT_ONCE):
            for file_id, segments in sorted(self._store.fetch(ids[at : at + _AT_ONCE].tolist()).items()):
                if len(segments):
                    placed.append(file_id)
                    vectors.append(mean_vector(segments.vectors))
        width = self._spec.dim
        places = flatten(np.stack(vectors) if vectors else np.empty((0, width), np.float32))
        folders, numbers = self._folders(placed)
        return MapShape(
            encoder=self._spec.name,
            total=len(self._store.file_ids()),
            ids=placed,
            x=[round(value, 4) for value in places[:, 0].tolist()],
            y=[round(value, 4) for value in places[:, 1].tolist()],
            folders=folders,
            folder=numbers,
        )

    def write(self, target: Path) -> None:
        """Draw it as JSON."""
        target.write_text(self.draw().model_dump_json(), "utf-8")

    def _folders(self, ids: list[int]) -> tuple[list[str], list[int]]:
        """Name the folders that most files lie in, and say of each file in which of them it is, from 0."""
        paths: dict[int, str] = {}
        for at in range(0, len(ids), _AT_ONCE):
            records = self._catalog.files(file_ids=ids[at : at + _AT_ONCE])
            paths |= {record.id: text_of(record.path.rpartition(os.sep)[0]) for record in records}
        counted: dict[str, int] = {}
        for path in paths.values():
            counted[path] = counted.get(path, 0) + 1
        named = sorted(counted, key=lambda path: (-counted[path], path))[:_MOST_FOLDERS]
        number = {path: i for i, path in enumerate(named)}
        return named, [number.get(paths.get(file_id, ""), len(named)) for file_id in ids]


def flatten(vectors: Float32) -> npt.NDArray[np.float64]:
    """Place vectors in the plane, −1 … 1.

    Parameters
    ----------
    vectors : ndarray of float32, shape (n, dim)

    Returns
    -------
    ndarray of float64, shape (n, 2)
        All 0 where nothing differs.
    """
    n = len(vectors)
    if n < 2:
        return np.zeros((n, 2))
    centred = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)
    directions = np.linalg.eigh(centred.T @ centred)[1][:, :-3:-1]
    directions *= np.sign(directions[np.abs(directions).argmax(axis=0), [0, 1]])  # or else either way round
    plain = centred @ directions
    reach = np.abs(plain).max(axis=0)
    plain = np.divide(plain, reach, out=np.zeros_like(plain), where=reach > 1e-9)
    even = np.empty_like(plain)
    for axis in range(2):
        even[np.argsort(plain[:, axis], kind="stable"), axis] = np.linspace(-1, 1, n)
    return np.where(reach > 1e-9, (1 - _STRETCHED) * plain + _STRETCHED * even, 0.0)
