"""``/v1/listen``: sound in as it comes, and out what is heard in it, what is alike and which recordings play.

Each few seconds the last five are looked at as a sound in a request's body is. Recordings are told once they
are over, by a thread that each listener has, as it waits for sound most of the time.
"""

from __future__ import annotations

import asyncio
import queue
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from echoic.audio.encode import write_audio
from echoic.audio.timeline import finite
from echoic.errors import AudioError, EchoicError
from echoic.recordings.result import Match
from echoic.server.asked import Asked, Describe, Listen
from echoic.server.problems import problem
from echoic.server.sentences import spelt_out
from echoic.server.service import Service
from echoic.server.shapes import Listened, MatchShape
from echoic.types import Float32, LiveSound

__all__ = ["router"]

router = APIRouter()

_WINDOW, _STEP = 5.0, 2.5  # s of sound that are looked at, and from one look to the next
_LEAST = 0.5  # s of new sound that are worth a last look
_MOST_AHEAD = 30.0  # s of sound that wait to be identified; what comes then has to wait itself
_PATIENCE = 60.0  # s without any sound after which nobody is thought to be there
_PAUSE = 0.05  # s
_NAME = "microphone"
_SAMPLES: dict[str, np.dtype[Any]] = {"f32": np.dtype("<f4"), "s16": np.dtype("<i2")}
_END = "end"
# Codes of RFC 6455.
_DONE, _NOT_SOUND, _NOT_ALLOWED = 1000, 1003, 1008


@router.websocket("/v1/listen")
async def listen(socket: WebSocket) -> None:
    """Listen to blocks of samples, binary messages, until a message says ``end``."""
    service: Service = socket.app.state.service
    given = socket.query_params
    lists = {name: given.getlist(name) for name in ("path", "tag") if name in given}
    try:
        asked = Listen.model_validate(dict(given) | lists)
    except ValidationError as error:
        sentence = spelt_out(error.errors())
        await socket.send_denial_response(problem(422, sentence, error="UsageError"))
        return
    if not service.listeners.acquire(blocking=False):
        sentence = "too many listen at once; try again later"
        await socket.send_denial_response(problem(429, sentence, headers={"Retry-After": "60"}))
        return
    try:
        await socket.accept()
        await _Listener(socket, service, asked).run()
    finally:
        service.listeners.release()


class _Listener:
    """One connection: what has come by it, and what is told of that."""

    def __init__(self, socket: WebSocket, service: Service, asked: Listen) -> None:
        self._socket = socket
        self._service = service
        self._asked = asked
        self._recent = np.empty(0, np.float32)
        self._n_come = 0  # samples
        self._n_looked = 0
        self._blocks: queue.Queue[Float32 | None] = queue.Queue()
        self._n_identified = 0  # samples, or passed over
        self._is_over = self._has_all_come = False
        self._loop = asyncio.get_running_loop()
        self._messages: asyncio.Queue[Listened | None] = asyncio.Queue()

    async def run(self) -> None:
        """Tell what is heard until the sound ends, or the connection does."""
        thread = threading.Thread(target=self._identify, name="echoic-listen", daemon=True)
        thread.start()
        try:
            async with asyncio.TaskGroup() as group:
                telling = group.create_task(self._tell())
                looking = group.create_task(self._look_on())
                code, reason = await self._take()
                looking.cancel()
                await asyncio.wait([looking])
                if self._asked.k and self._n_come - self._n_looked >= _LEAST * self._asked.rate:
                    await self._look()
                self._blocks.put(None)
                await telling  # which the thread's last word ends
                await self._socket.send_text(Listened(kind="end", end=self._seconds).model_dump_json())
                await self._socket.close(code, reason)
        except* WebSocketDisconnect:
            pass  # who has left hears no more
        finally:
            self._is_over = True
            self._blocks.put(None)
        await asyncio.to_thread(thread.join)

    @property
    def _seconds(self) -> float:
        return self._n_come / self._asked.rate

    async def _take(self) -> tuple[int, str]:
        """Take blocks; return with what code and for what reason to close."""
        kind = _SAMPLES[self._asked.format]
        while True:
            try:
                async with asyncio.timeout(_PATIENCE):
                    message = await self._socket.receive()
            except TimeoutError:
                return _NOT_ALLOWED, f"no sound has come for {_PATIENCE:g} s"
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect
            block = message.get("bytes")
            if block is None:
                return (_DONE, "") if message.get("text") == _END else (_NOT_SOUND, "send samples, or: end")
            if not block:
                return _NOT_SOUND, "a block has no samples"
            if len(block) % kind.itemsize:
                return _NOT_SOUND, f"a block of {self._asked.format} has {kind.itemsize} bytes a sample"
            samples = np.frombuffer(block, kind).astype(np.float32)
            if self._asked.format == "s16":
                samples /= 32_768
            self._keep(finite(samples)[0])
            while self._n_come - self._n_identified > _MOST_AHEAD * self._asked.rate:
                await asyncio.sleep(_PAUSE)

    def _keep(self, samples: Float32) -> None:
        self._n_come += len(samples)
        self._recent = np.concatenate([self._recent, samples])[-round(_WINDOW * self._asked.rate) :]
        self._blocks.put(samples)

    # What is heard, and alike

    async def _look_on(self) -> None:
        while self._asked.k:
            if self._n_come - self._n_looked >= _STEP * self._asked.rate:
                await self._look()
            else:
                await asyncio.sleep(_PAUSE)

    async def _look(self) -> None:
        """Look at the last seconds; where too much is asked for at once, at later ones."""
        samples, end, n_come = self._recent, self._seconds, self._n_come
        with suppress(HTTPException):  # 429
            heard = await self._service.work.run(
                self._heard_in, samples, end - len(samples) / self._asked.rate
            )
            heard.end = end
            self._messages.put_nowait(heard)
        self._n_looked = n_come  # not before: one that is cut short is made up for at the end

    def _heard_in(self, samples: Float32, start: float) -> Listened:
        told = Listened(kind="heard", start=start)
        if not samples.any():
            return told
        with tempfile.NamedTemporaryFile(suffix=".wav", dir=self._service.uploads.folder) as file:
            sound = Path(file.name)
            write_audio(sound, samples, self._asked.rate, codec="pcm_f32le")
            try:
                told.spans = self._service.describe(Describe(name=_NAME), sound).spans
                among = self._asked.model_dump(include={"k", "path", "tag"})
                told.hits = self._service.find(Asked(name=_NAME, **among), sound).hits
            except AudioError:
                pass  # too quiet: nothing is heard, and nothing alike
            except EchoicError as error:  # the library has no encoder for it
                told.message, told.error = str(error), type(error).__name__
        for span in told.spans:
            span.start, span.end = span.start + start, span.end + start
        return told

    # Which recordings play

    def _identify(self) -> None:
        source = LiveSound(_NAME, 0.0, self._asked.rate, self._come())
        among: dict[str, Any] = {"path": self._asked.path or None, "tags": self._asked.tag}
        try:
            for match in self._service.library.monitor(source, min_score=self._asked.min_score, **among):
                self._say(self._told(match))
        except EchoicError as error:
            self._say(Listened(kind="match", message=str(error), error=type(error).__name__))
        finally:
            for _ in self._come():  # or what comes would wait for ever
                pass
            self._say(None)

    def _come(self) -> Iterator[Float32]:
        while not self._has_all_come:
            block = self._blocks.get()
            if block is None or self._is_over:
                self._has_all_come = True
            else:
                self._n_identified += len(block)
                yield block

    def _told(self, match: Match) -> Listened:
        ids = self._service.holdings.ids([match.path])
        shape = MatchShape.of(match, ids.get(match.path))
        return Listened(kind="match", start=match.query_start, end=match.query_end, match=shape)

    def _say(self, message: Listened | None) -> None:
        with suppress(RuntimeError):  # the service has ended meanwhile
            self._loop.call_soon_threadsafe(self._messages.put_nowait, message)

    async def _tell(self) -> None:
        while (message := await self._messages.get()) is not None:
            await self._socket.send_text(message.model_dump_json())
