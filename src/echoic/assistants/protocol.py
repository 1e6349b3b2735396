"""The tools and clips by the Model Context Protocol, whatever carries it."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    BlobResourceContents,
    CallToolRequestParams,
    CallToolResult,
    ListResourcesResult,
    ListResourceTemplatesResult,
    ListToolsResult,
    PaginatedRequestParams,
    ReadResourceRequestParams,
    ReadResourceResult,
    ResourceTemplate,
)
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from echoic import __version__
from echoic.assistants.examples import Examples
from echoic.assistants.told import CLIP_TEMPLATE, LONGEST_CLIP, refused, span_of_clip
from echoic.assistants.tools import TOOLS, Desk
from echoic.errors import EchoicError
from echoic.server.media import CUT_TYPE, cut
from echoic.server.sentences import spelt_out
from echoic.server.service import Service
from echoic.server.settings import Settings

__all__ = ["make_protocol"]

_INSTRUCTIONS = (
    "A library of audio files that is searched by how they sound. Begin with status: it says which encoders "
    "the library has, and so which tools answer. Files are named by their ids or paths. Each hit comes with "
    "a link to a clip of it, a resource that can be read and played. Scores of search are cosines: what "
    "counts is their order; all other scores are probabilities."
)


def make_protocol(settings: Settings, allowed: Sequence[Path]) -> Server[Desk]:
    """Make what answers assistants about a library.

    Parameters
    ----------
    settings : Settings
    allowed : sequence of Path
        Folders whose sounds may be given as examples.

    Raises
    ------
    LibraryError
        When it is run: if there is no library, or it cannot be used.
    """

    @asynccontextmanager
    async def running(_: Server[Desk]) -> AsyncIterator[Desk]:
        service = Service(settings)
        try:
            # Not waited for: an assistant gives up a server that is slow to greet it.
            warming = asyncio.create_task(service.work.run(service.warm))
            yield Desk(service, Examples(service.holdings, allowed))
            warming.cancel()
            await asyncio.wait([warming])
        finally:
            service.close()

    return Server(
        "echoic",
        version=__version__,
        title="Echoic",
        instructions=_INSTRUCTIONS,
        lifespan=running,
        on_list_tools=_list_tools,
        on_call_tool=_call_tool,
        on_list_resources=_list_resources,
        on_list_resource_templates=_list_templates,
        on_read_resource=_read_resource,
    )


_Context = ServerRequestContext[Desk]


async def _list_tools(_: _Context, __: PaginatedRequestParams | None) -> ListToolsResult:
    return ListToolsResult(tools=[tool.described(name) for name, tool in TOOLS.items()])


async def _call_tool(context: _Context, params: CallToolRequestParams) -> CallToolResult:
    tool = TOOLS.get(params.name)
    if tool is None:
        raise MCPError(INVALID_PARAMS, f"there is no such tool, only {', '.join(TOOLS)}")
    desk = context.lifespan_context
    pool = desk.service.looks if tool.is_quick else desk.service.work
    try:
        asked = tool.asked.model_validate(params.arguments or {})
        return await pool.run(tool.result, desk, asked)
    except (EchoicError, HTTPException, ValidationError) as error:
        return refused(_sentence(error))


async def _list_resources(_: _Context, __: PaginatedRequestParams | None) -> ListResourcesResult:
    return ListResourcesResult(resources=[])  # there is one for each part of each file


async def _list_templates(_: _Context, __: PaginatedRequestParams | None) -> ListResourceTemplatesResult:
    clip = ResourceTemplate(
        name="clip",
        uri_template=CLIP_TEMPLATE,
        mime_type=CUT_TYPE,
        description="A part of a file of the library: its id, and from when to when in seconds, "
        f"{LONGEST_CLIP:g} s at most.",
    )
    return ListResourceTemplatesResult(resource_templates=[clip])


async def _read_resource(context: _Context, params: ReadResourceRequestParams) -> ReadResourceResult:
    desk = context.lifespan_context
    span = span_of_clip(params.uri)
    try:
        if span is None or not 0 < span[2] - span[1] <= LONGEST_CLIP:
            raise MCPError(
                INVALID_PARAMS, f"there is no such resource, only {CLIP_TEMPLATE} of up to {LONGEST_CLIP:g} s"
            )
        file, start, end = span
        record = await desk.service.looks.run(desk.examples.of_library, str(file))
        content = await cut(desk.service, record, start, end)
        with content.file:
            sound = await desk.service.looks.run(content.file.readall)
    except (EchoicError, HTTPException) as error:
        raise MCPError(INVALID_PARAMS, _sentence(error), {"uri": params.uri}) from None
    blob = base64.b64encode(sound or b"").decode("ascii")
    return ReadResourceResult(contents=[BlobResourceContents(uri=params.uri, mime_type=CUT_TYPE, blob=blob)])


def _sentence(error: EchoicError | HTTPException | ValidationError) -> str:
    if isinstance(error, HTTPException):
        return error.detail
    return spelt_out(error.errors()) if isinstance(error, ValidationError) else str(error)
