"""Indexing over HTTP: one run at a time, what it has come to as server-sent events, and how to stop it."""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import Response, StreamingResponse

from echoic.addresses import in_bucket, path_of
from echoic.errors import EchoicError, UsageError
from echoic.library import Library
from echoic.server.asked import Reference
from echoic.server.guard import need_admin
from echoic.server.problems import refusals, refuse
from echoic.server.shapes import IndexState, ProgressShape, ReportShape
from echoic.types import IndexReport, Progress

__all__ = ["Indexing", "router"]

router = APIRouter(prefix="/v1/index")

_MOST_STREAMS = 64
_PAUSE = 0.2  # s between two events of progress


class _CancelledError(Exception):
    """Raised within a run that somebody has stopped."""


class Indexing:
    """Runs of indexing, one after the other, and what the present or last one has come to.

    Made within a running event loop.

    Parameters
    ----------
    library : Library
    folders : sequence of Path
        What may be indexed: these folders and what lies in them.
    heartbeat : float
        Seconds.
    max_files : int, optional
        That the library may hold.
    """

    def __init__(
        self, library: Library, folders: Sequence[Path], heartbeat: float, max_files: int | None = None
    ) -> None:
        self._library = library
        self._max_files = max_files
        self._folders = [folder.resolve() for folder in folders]
        self._heartbeat = heartbeat
        self._loop = asyncio.get_running_loop()
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._is_closing = False
        self._changed = asyncio.Event()
        # Numbers of another run of the service are not taken for those of this one.
        self._series, self._number = secrets.token_hex(4), 0
        self._n_streams = 0
        self.state = IndexState(job=0, state="idle")

    def start(self, uris: Sequence[str]) -> IndexState:
        """Begin to index folders, all that may be if none is named.

        Raises
        ------
        UsageError
            If a URI is none.
        HTTPException
            403, if one lies elsewhere, or nothing may be indexed; 409, if it is being done.
        """
        if not self._folders:
            refuse(403, "nothing may be indexed by this service; serve with --folder DIR to allow it")
        if self._is_closing:
            refuse(503, "the service is being stopped")
        paths = [self._allowed(uri) for uri in uris] or self._folders
        if self.state.state == "running":  # its thread may outlive its end for a moment
            refuse(409, "indexing is under way; wait for its end, or cancel it")
        self._stop.clear()
        self._publish(IndexState(job=self.state.job + 1, state="running"))
        self._thread = threading.Thread(target=self._run, args=(paths,), name="echoic-index")
        self._thread.start()
        return self.state

    def cancel(self) -> IndexState:
        """Stop the run after the file that it is at; what is done is kept."""
        self._stop.set()
        return self.state

    async def close(self) -> None:
        """Stop the run, and let the streams end."""
        self._is_closing = True
        self.cancel()
        self._changed.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)

    async def events(self, last: str | None) -> AsyncIterator[bytes]:
        """Yield the present state unless it is the last one seen, and then each that follows.

        Each event has all that there is to know, so that none is missed by who comes back later.
        """
        self._n_streams += 1
        try:
            yield b"retry: 2000\n\n"
            while not self._is_closing:
                changed, number = self._changed, f"{self._series}-{self._number}"
                if number != last:
                    last = number
                    yield f"id: {number}\nevent: index\ndata: {self.state.model_dump_json()}\n\n".encode()
                    continue
                try:
                    async with asyncio.timeout(self._heartbeat):
                        await changed.wait()
                except TimeoutError:
                    yield b": still here\n\n"
        finally:
            self._n_streams -= 1

    def check_streams(self) -> None:
        """Refuse a stream more than there may be."""
        if self._n_streams >= _MOST_STREAMS:
            refuse(429, "too many follow already; try again in a while", Retry_After="10")

    def _allowed(self, uri: str) -> Path:
        try:
            path = Path(path_of(uri))
            place = path.resolve()
        except (ValueError, OSError):
            raise UsageError("a folder is named by its URI, as in file:///sounds") from None
        # A bucket that is indexed is noted as chosen for good, which is for whoever runs the service to do.
        if in_bucket(str(path)) or not any(place.is_relative_to(folder) for folder in self._folders):
            refuse(403, "this folder may not be indexed; see what may be served with --folder DIR")
        return path

    def _run(self, paths: Sequence[Path]) -> None:
        """Index, in a thread of its own."""
        job, told = self.state.job, 0.0
        last: ProgressShape | None = None

        def progress(now: Progress) -> None:
            nonlocal told, last
            if self._stop.is_set():
                raise _CancelledError
            last = ProgressShape.of(now)
            if time.monotonic() - told >= _PAUSE:
                told = time.monotonic()
                self._tell(IndexState(job=job, state="running", progress=last))

        report: IndexReport | None = None
        message = ""
        try:
            report = self._library.index(paths, max_files=self._max_files, progress=progress)
        except _CancelledError:
            message = "cancelled; what was done is kept"
        except EchoicError as error:
            message = str(error)
        except BaseException:
            self._tell(IndexState(job=job, state="failed", progress=last, message="see the service's log"))
            raise
        if report is not None:
            state = IndexState(job=job, state="finished", progress=last, report=ReportShape.of(report))
        else:
            kind = "cancelled" if self._stop.is_set() else "failed"
            state = IndexState.model_validate(
                {"job": job, "state": kind, "progress": last, "message": message}
            )
        self._tell(state)

    def _tell(self, state: IndexState) -> None:
        self._loop.call_soon_threadsafe(self._publish, state)

    def _publish(self, state: IndexState) -> None:
        self.state = state
        self._number += 1
        self._changed.set()
        self._changed = asyncio.Event()


@router.post("", status_code=202, responses=refusals(409, 413, 415))
async def start(
    request: Request,
    folder: Annotated[
        list[Reference],
        Query(max_length=100, description="Folders by their URIs; all that may be indexed if none is named."),
    ] = [],  # noqa: B006 - FastAPI copies it
) -> IndexState:
    """Begin to bring the library up to date with folders that the operator allows. Needs an admin's key."""
    need_admin(request)
    indexing: Indexing = request.app.state.indexing
    return indexing.start(folder)


@router.get("", responses=refusals())
async def look(request: Request) -> IndexState:
    """Return what the present or last run has come to."""
    indexing: Indexing = request.app.state.indexing
    return indexing.state


@router.delete("", status_code=202, responses=refusals())
async def cancel(request: Request) -> IndexState:
    """Stop the run after the file that it is at; what is done is kept. Needs an admin's key."""
    need_admin(request)
    indexing: Indexing = request.app.state.indexing
    return indexing.cancel()


@router.get(
    "/events",
    response_class=Response,
    responses=refusals(
        429,
        besides={
            200: {
                "description": "Server-sent events named index, each with an IndexState as data.",
                "content": {"text/event-stream": {"schema": {"type": "string"}}},
            }
        },
    ),
)
async def follow(
    request: Request,
    last_event_id: Annotated[str | None, Header(max_length=100, description="The last event seen.")] = None,
) -> Response:
    """Follow indexing, for as long as you like."""
    indexing: Indexing = request.app.state.indexing
    indexing.check_streams()
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # proxies are not to gather events
    return StreamingResponse(indexing.events(last_event_id), 200, headers, "text/event-stream")
