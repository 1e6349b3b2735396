"""The application: its routes, and what is opened and closed with it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.responses import Response

from echoic import __version__
from echoic.server import concepts, jobs, listening, mapping, media, page
from echoic.server.asked import Asked, Describe, Identify, Listed
from echoic.server.guard import Guard
from echoic.server.jobs import Indexing
from echoic.server.media import FileId
from echoic.server.metrics import MEDIA_TYPE, Measured, Metrics
from echoic.server.problems import Problem, handle_problems, refusals
from echoic.server.saving import MEDIA_TYPES
from echoic.server.service import Service
from echoic.server.sessions import Sessions
from echoic.server.sessions import router as sessions_routes
from echoic.server.settings import Settings
from echoic.server.shapes import Described, EncoderShape, FilePage, FileShape, Found, Health, Identified

__all__ = ["make_application"]


def _body(*kinds: str) -> dict[str, Any]:
    """Describe a body that is taken as it comes, to whoever reads the description of the service."""
    content = {kind: {"schema": {"type": "string", "format": "binary"}} for kind in kinds}
    return {"requestBody": {"required": True, "content": content}}


_PICTURES = "image/"
_SOUND = ("application/octet-stream", "audio/*", "video/*")
_OF_SOUND = refusals(404, 408, 413, 415, 429)
_FOUND: dict[int | str, dict[str, Any]] = {
    200: {"content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in MEDIA_TYPES}}
}


def make_application(settings: Settings) -> FastAPI:
    """Make the application that serves a library.

    Raises
    ------
    LibraryError
        When it is started: if there is no library, or it cannot be used.
    """
    metrics, sessions = Metrics(), Sessions()

    @asynccontextmanager
    async def running(app: FastAPI) -> AsyncIterator[None]:
        service = app.state.service = Service(settings)
        try:
            await service.work.run(service.warm)
            app.state.indexing = Indexing(
                service.library, settings.folders, settings.heartbeat, settings.max_files
            )
            yield
            await app.state.indexing.close()
        finally:
            service.close()

    # None of FastAPI's own pages, which load scripts from elsewhere.
    app = FastAPI(
        title="Echoic",
        version=__version__,
        summary="A search engine for sound.",
        lifespan=running,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        generate_unique_id_function=lambda route: route.name,
        redirect_slashes=False,
    )
    app.state.settings, app.state.metrics, app.state.sessions = settings, metrics, sessions
    app.add_middleware(Guard, settings=settings, sessions=sessions)
    app.add_middleware(Measured, metrics=metrics)  # outside: what is refused is counted, too
    handle_problems(app)
    _add_routes(app)
    app.include_router(media.router)
    app.include_router(concepts.router)
    app.include_router(jobs.router)
    app.include_router(listening.router)
    app.include_router(mapping.router)
    app.include_router(sessions_routes)
    app.include_router(page.router)
    _describe_problems(app)
    return app


def _add_routes(app: FastAPI) -> None:
    @app.get("/healthz", responses=refusals())
    async def health() -> Health:
        """Tell that the service is up. Needs no key."""
        return Health(version=__version__)

    @app.get("/v1/encoders", responses=refusals())
    async def encoders(request: Request) -> list[EncoderShape]:
        """List the library's encoders."""
        service: Service = request.app.state.service
        specs = await service.looks.run(service.library.encoders)
        return [EncoderShape.of(source, spec) for source, spec in specs.items()]

    @app.get("/v1/files", responses=refusals(429))
    async def files(request: Request, asked: Annotated[Listed, Query()]) -> FilePage:
        """List files of the library, a page at a time."""
        service: Service = request.app.state.service
        return await service.looks.run(service.holdings.page, asked)

    @app.get("/v1/files/{file_id}", responses=refusals(404, 429))
    async def file(request: Request, file_id: FileId) -> FileShape:
        """Tell what is known of a file."""
        service: Service = request.app.state.service
        return FileShape.of(await service.looks.run(service.holdings.of_id, file_id))

    @app.get("/v1/search", response_model=Found, responses=refusals(404, 429, besides={200: _FOUND[200]}))
    async def search(request: Request, asked: Annotated[Asked, Query()]) -> Found | Response:
        """Find what sounds like a file of the library, fits words, says a phrase, or is of a concept."""
        service: Service = request.app.state.service
        return await service.work.run(service.once, service.search, asked)

    @app.post(
        "/v1/search",
        response_model=Found,
        responses=_FOUND | _OF_SOUND,
        openapi_extra=_body(*_SOUND, f"{_PICTURES}*"),
    )
    async def search_by_sound(request: Request, asked: Annotated[Asked, Query()]) -> Found | Response:
        """Find what sounds like the sound in the body, or like what a picture in it shows."""
        service: Service = request.app.state.service
        if request.headers.get("content-type", "").lower().startswith(_PICTURES):
            asked = asked.model_copy(update={"by": "picture"})
        async with service.uploads.receive(request, asked.name) as sound:
            return await service.work.run(service.once, service.search, asked, sound)

    @app.get("/v1/identify", responses=refusals(404, 429))
    async def identify(request: Request, asked: Annotated[Identify, Query()]) -> Identified:
        """Tell which recordings of the library are heard in one of its files."""
        service: Service = request.app.state.service
        return await service.work.run(service.once, service.identify, asked)

    @app.post("/v1/identify", responses=_OF_SOUND, openapi_extra=_body(*_SOUND))
    async def identify_sound(request: Request, asked: Annotated[Identify, Query()]) -> Identified:
        """Tell which recordings of the library are heard in the sound in the body."""
        service: Service = request.app.state.service
        async with service.uploads.receive(request, asked.name) as sound:
            return await service.work.run(service.once, service.identify, asked, sound)

    @app.get("/v1/describe", responses=refusals(404, 429))
    async def describe(request: Request, asked: Annotated[Describe, Query()]) -> Described:
        """Tell what is heard in a file of the library, and when."""
        service: Service = request.app.state.service
        return await service.work.run(service.once, service.describe, asked)

    @app.post("/v1/describe", responses=_OF_SOUND, openapi_extra=_body(*_SOUND))
    async def describe_sound(request: Request, asked: Annotated[Describe, Query()]) -> Described:
        """Listen to the sound in the body, and tell what is heard, and when."""
        service: Service = request.app.state.service
        async with service.uploads.receive(request, asked.name) as sound:
            return await service.work.run(service.once, service.describe, asked, sound)

    @app.get(
        "/metrics",
        response_class=Response,
        responses=refusals(429, besides={200: {"content": {MEDIA_TYPE: {"schema": {"type": "string"}}}}}),
    )
    async def metrics(request: Request) -> Response:
        """Return figures for Prometheus."""
        service: Service = request.app.state.service
        figures: Metrics = request.app.state.metrics
        figures.files.set((await service.looks.run(service.holdings.page, Listed(limit=1))).total)
        figures.working.set(service.work.n_taken)
        return Response(figures.text(), media_type=MEDIA_TYPE)


def _describe_problems(app: FastAPI) -> None:
    """Put the problem that all refusals are into the description of the service."""
    describe_routes = app.openapi

    def described() -> dict[str, Any]:
        schema = describe_routes()
        schema["components"]["schemas"]["Problem"] = Problem.model_json_schema()
        return schema

    app.openapi = described  # type: ignore[method-assign]
