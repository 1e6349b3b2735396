"""Runs what answers assistants: over this process's own pipes, or over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from mcp.server.stdio import stdio_server
from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.datastructures import Headers

from echoic.assistants.protocol import make_protocol
from echoic.errors import UsageError, quoted
from echoic.library import Library
from echoic.server.guard import Guard
from echoic.server.problems import refuse
from echoic.server.running import Server
from echoic.server.sessions import Sessions
from echoic.server.settings import Settings

__all__ = ["answer", "make_application", "serve"]

_ROUTE = "/mcp"
_LARGEST = 1 << 20  # bytes of a message
_MOST_SESSIONS = 256


class _Guard(Guard):
    """Lets through who may ask, with messages instead of sound."""

    def check_body(self, headers: Headers) -> None:
        if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            refuse(415, "a message is JSON; say so with Content-Type: application/json")


def make_application(settings: Settings, allowed: Sequence[Path] = ()) -> Starlette:
    """Make the application that answers assistants over streamable HTTP, at ``/mcp``."""
    application = make_protocol(settings, allowed).streamable_http_app(
        streamable_http_path=_ROUTE,
        max_request_body_size=_LARGEST,
        max_sessions=_MOST_SESSIONS,
        transport_security=TransportSecuritySettings(
            enable_dns_rebinding_protection=False
        ),  # the guard has it
    )
    application.add_middleware(_Guard, settings=settings, sessions=Sessions())
    return application


def serve(settings: Settings, allowed: Sequence[Path], started: Callable[[str], None]) -> None:
    """Answer assistants over HTTP until a signal asks to stop.

    Parameters
    ----------
    settings : Settings
    allowed : sequence of Path
        Folders whose sounds may be given as examples.
    started : callable
        Called with the address that assistants ask once it answers.

    Raises
    ------
    UsageError
        If the address cannot be listened at, or there is no such folder.
    LibraryError
        If there is no library, or it cannot be used.
    """
    _check(settings, allowed)
    application = make_application(settings, allowed)
    Server(settings, lambda address: started(address + _ROUTE), application).run()


def answer(settings: Settings, allowed: Sequence[Path]) -> None:
    """Answer the assistant that started this process, over standard input and output, until it has enough.

    Parameters, and what is raised, are those of :func:`serve`.
    """
    _check(settings, allowed)
    protocol = make_protocol(settings, allowed)

    async def answering() -> None:
        async with stdio_server() as (read, write):
            await protocol.run(read, write, protocol.create_initialization_options())

    asyncio.run(answering())


def _check(settings: Settings, allowed: Sequence[Path]) -> None:
    """Say what is wrong in one sentence here, rather than while it starts."""
    for folder in allowed:
        if not folder.is_dir():
            raise UsageError(f"{quoted(folder)} is no folder that examples could come from; check the path")
    with Library(settings.library) as library:
        library.encoders()
