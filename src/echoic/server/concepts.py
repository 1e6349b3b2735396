"""``/v1/concepts``: what the library was taught to find, and how it is taught.

It is taught by files of the library alone: of a sound that a request brings nothing would be left to encode
anew once another revision of the encoder has come.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Request

from echoic.server.asked import ConceptName, Doubts, Teach
from echoic.server.guard import need_admin
from echoic.server.problems import refusals
from echoic.server.service import Service
from echoic.server.shapes import ConceptShape, Found, TaughtShape

__all__ = ["router"]

router = APIRouter(prefix="/v1/concepts")


@router.get("", responses=refusals(429))
async def list_concepts(
    request: Request, name: Annotated[ConceptName | None, Query(description="Only this one.")] = None
) -> list[ConceptShape]:
    """List what the library was taught to find, in order of name."""
    service: Service = request.app.state.service
    # What share of it is found is worked out each time, which takes a while where much was answered.
    return await service.work.run(service.answers.of, ("concepts", name), partial(service.concepts, name))


@router.post("", responses=refusals(404, 409, 413, 415, 429))
async def teach(request: Request, asked: Annotated[Teach, Query()]) -> TaughtShape:
    """Teach the library what a concept is and what it is not; answers add up. Needs an admin's key."""
    need_admin(request)
    service: Service = request.app.state.service
    return await service.work.run(service.teach, asked)


@router.delete("", responses=refusals(409, 429))
async def forget(request: Request, name: Annotated[ConceptName, Query(description="Which.")]) -> ConceptShape:
    """Forget a concept with all that was said of it, and return what it was. Needs an admin's key."""
    need_admin(request)
    service: Service = request.app.state.service
    return await service.work.run(service.forget, name)


@router.get("/proposals", responses=refusals(429))
async def propose(request: Request, asked: Annotated[Doubts, Query()]) -> Found:
    """Choose spans whose answer, to be given to ``POST``, would help most to find a concept."""
    service: Service = request.app.state.service
    return await service.work.run(service.doubts, asked)
