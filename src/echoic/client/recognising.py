"""What of :class:`echoic.client.Client` recognises recordings: in files, and in sound as it comes."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from echoic.addresses import is_url
from echoic.arguments import checked
from echoic.client.wire import Globs, Wire, as_hits, as_match, encoded, refusal
from echoic.errors import EchoicError, MissingDependencyError, ServiceError
from echoic.heard.result import HeardSpan
from echoic.recordings.result import Match
from echoic.types import Hit, LiveSound, StrPath

__all__ = ["Heard", "Recogniser"]

_A_MESSAGE = 1 << 17  # samples; the service takes messages of 1 MiB
_PATIENCE = 60.0  # s
_LEAVING = 5.0  # s that the last block may take to come, once nobody listens any more


@dataclass(frozen=True, slots=True)
class Heard:
    """What is heard in the last seconds of sound that comes.

    Parameters
    ----------
    start, end : float
        Seconds since it began.
    spans : tuple of HeardSpan
        Kinds of sound.
    hits : tuple of Hit
        Files of the library that sound like it, the best first.
    message : str
        Why some of it cannot be told: the library has no encoder for it.
    """

    start: float
    end: float
    spans: tuple[HeardSpan, ...] = ()
    hits: tuple[Hit, ...] = ()
    message: str = ""


class Recogniser(Wire):
    """Tells which recordings are heard; see :class:`echoic.recognising.Recogniser`."""

    @checked
    def identify(
        self,
        query: StrPath,
        *,
        start: float | None = None,
        end: float | None = None,
        min_score: float | None = None,
        path: Globs = None,
        tags: Sequence[str] = (),
        include_query: bool = False,
    ) -> list[Match]:
        """Tell which recordings of the library are heard in a file; see :meth:`Library.identify`."""
        told = self._ask(
            "/v1/identify",
            query,
            start=start,
            end=end,
            min_score=min_score,
            path=path,
            tag=tags,
            include_query=include_query,
        )
        self._tell(told, query)
        return [as_match(match, query) for match in told["matches"]]

    @checked
    def monitor(
        self,
        source: StrPath | LiveSound,
        *,
        min_score: float | None = None,
        path: Globs = None,
        tags: Sequence[str] = (),
    ) -> Iterator[Match]:
        """Send a stream as it comes, and tell each recording once it is over; see :meth:`Library.monitor`.

        It is decoded here; a file is heard as a stream is. It takes the extra ``[server]``.
        """
        for sound, told in self._heard(source, k=0, min_score=min_score, path=path, tag=tags):
            if told["message"]:
                raise refusal(self.address, {"detail": told["message"], "error": told["error"]})
            yield as_match(told["match"], sound.name, sound.begun)

    @checked
    def listen(
        self,
        source: StrPath | LiveSound,
        *,
        k: int = 3,
        min_score: float | None = None,
        path: Globs = None,
        tags: Sequence[str] = (),
    ) -> Iterator[Heard | Match]:
        """Send sound as it comes, and tell what is heard in it, what is alike and which recordings play.

        It takes the extra ``[server]``.

        Parameters
        ----------
        source : path, str or LiveSound
            As of :meth:`monitor`; the microphone is :func:`echoic.audio.live.microphone`.
        k : int
            Files that sound like the last seconds.
        min_score : float, optional
            Probability from which on a recording is told.

        Yields
        ------
        Heard or Match
            About every 2.5 s what is heard in the last 5 s; each recording of the library once it is over.
        """
        for sound, told in self._heard(source, k=k, min_score=min_score, path=path, tag=tags):
            if told["match"]:
                yield as_match(told["match"], sound.name, sound.begun)
                continue
            yield Heard(
                told["start"] + sound.begun,
                told["end"] + sound.begun,
                tuple(HeardSpan(path=sound.name, **span) for span in told["spans"]),
                tuple(as_hits(told, Hit)),
                told["message"],
            )

    def _heard(self, source: StrPath | LiveSound, **asked: Any) -> Iterator[tuple[LiveSound, Any]]:
        for sound in _connections(source):
            for told in self._over(sound, asked):
                yield sound, told

    def _over(self, sound: LiveSound, asked: dict[str, Any]) -> Iterator[Any]:
        """Send all of a sound by one connection, and yield what is told meanwhile, but for the end."""
        from websockets.exceptions import ConnectionClosed

        failed: list[EchoicError] = []

        def send() -> None:
            is_whole = False
            try:
                for block in sound.blocks:
                    for at in range(0, len(block), _A_MESSAGE):
                        connection.send(np.ascontiguousarray(block[at : at + _A_MESSAGE], "<f4").tobytes())
                connection.send("end")
                is_whole = True
            except ConnectionClosed:
                pass  # which is told where it is read
            except EchoicError as error:
                failed.append(error)  # the source's, to be raised where somebody hears it
            finally:
                if not is_whole:
                    connection.close()

        with self._connected({"rate": sound.sample_rate, **asked}) as connection:
            sending = threading.Thread(target=send, name="echoic-send", daemon=True)
            sending.start()
            try:
                for message in connection:
                    told = json.loads(message)
                    if told["kind"] != "end":
                        yield told
            except ConnectionClosed as error:
                if not failed:
                    why = connection.close_reason or error
                    raise ServiceError(f"{self.address} listens no longer ({why}); try again") from error
            finally:
                connection.close()
                sending.join(_LEAVING)
        if failed:
            raise failed[0]

    @contextmanager
    def _connected(self, asked: dict[str, Any]) -> Iterator[Any]:
        try:
            from websockets.exceptions import InvalidHandshake, InvalidStatus
            from websockets.sync.client import connect
        except ImportError as error:
            raise MissingDependencyError("listening through a service", "server") from error
        scheme, port = ("wss", 443) if self._is_safe else ("ws", 80)
        address = f"{scheme}://{self._place}{self._under}/v1/listen?{encoded(asked)}"
        with ExitStack() as stack:
            try:
                # A socket of its own: through a proxy of the environment nothing else is asked here.
                opened = socket.create_connection((self._host, self._port or port), _PATIENCE)
                opening = connect(address, sock=opened, additional_headers=self._headers, compression=None)
                connection = stack.enter_context(opening)
            except InvalidStatus as error:
                try:
                    problem = json.loads(error.response.body or b"")
                except ValueError:
                    problem = {"detail": f"it answers {error.response.status_code}"}
                raise refusal(self.address, problem) from None
            except (OSError, InvalidHandshake) as error:
                raise ServiceError(
                    f"{self.address} does not answer ({error}); is it served there?"
                ) from error
            yield connection


def _connections(source: StrPath | LiveSound) -> Iterator[LiveSound]:
    if isinstance(source, LiveSound):
        yield source
        return
    name = os.fspath(source)
    if is_url(name):
        from echoic.audio.live import connections

        yield from connections(name)
        return
    from echoic.audio.decode import open_audio

    with open_audio(source) as stream:
        yield LiveSound(name, 0.0, stream.sample_rate, stream.blocks())
