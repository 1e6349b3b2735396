"""Runs the service until it is asked to stop: it then takes no more, and ends what it is at."""

from __future__ import annotations

import socket
from collections.abc import Callable
from types import FrameType

import uvicorn
from starlette.applications import Starlette

from echoic.errors import UsageError
from echoic.server.application import make_application
from echoic.server.jobs import Indexing
from echoic.server.settings import Settings

__all__ = ["Server", "serve"]

_LARGEST_MESSAGE = 1 << 20  # bytes that come by a socket at once
_PATIENCE = 10  # s for what is being answered when the service is asked to stop


class Server(uvicorn.Server):
    """A web server of one library, listening at a socket that is open already.

    Parameters
    ----------
    settings : Settings
    started : callable
        Called with the service's address once it answers.
    application : Starlette, optional
        What answers, by default the service of REST.

    Raises
    ------
    UsageError
        If it cannot listen there.
    """

    def __init__(
        self,
        settings: Settings,
        started: Callable[[str], None],
        application: Starlette | None = None,
    ) -> None:
        self._app = make_application(settings) if application is None else application
        self._begun = started
        self._socket = _listen(settings.host, settings.port)
        self.address = _address(self._socket)
        super().__init__(
            uvicorn.Config(
                self._app,
                http="h11",
                ws="websockets-sansio",
                ws_max_size=_LARGEST_MESSAGE,
                ws_per_message_deflate=False,
                lifespan="on",
                log_level="warning",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=_PATIENCE,
            )
        )

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until it is asked to stop."""
        try:
            super().run(sockets or [self._socket])
        finally:
            self._socket.close()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._begun(self.address)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        indexing: Indexing | None = getattr(self._app.state, "indexing", None)
        if indexing is not None:
            await indexing.close()  # or else streams of events would go on until the patience is over
        await super().shutdown(sockets)
        if self.force_exit:  # then uvicorn leaves this out, and tells the traceback of what it broke off
            await self.lifespan.shutdown()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End once what is being answered is done; asked again, do not wait for that."""
        if self.should_exit:
            self.force_exit = True  # without being noted: each that is noted is raised once more at the end
        else:
            super().handle_exit(sig, frame)


def serve(settings: Settings, started: Callable[[str], None]) -> None:
    """Serve a library until a signal asks to stop.

    Parameters
    ----------
    settings : Settings
    started : callable
        Called with the service's address once it answers.

    Raises
    ------
    UsageError
        If the address cannot be listened at.
    LibraryError
        If there is no library, or it cannot be used.
    """
    from echoic.library import Library

    with Library(settings.library) as library:
        library.encoders()  # said here, in one sentence, rather than while the service starts
    Server(settings, started).run()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UsageError(
            f"{host}, port {port}, cannot be listened at ({reason}); choose another with --host and --port"
        ) from None


def _address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
