"""Refusals, as RFC 9457 has them: ``application/problem+json`` with what is wrong in one sentence."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, NoReturn

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from echoic.errors import (
    AudioError,
    EchoicError,
    LibraryBusyError,
    UnreadableError,
    UsageError,
)
from echoic.server.sentences import spelt_out

__all__ = ["Problem", "handle_problems", "problem", "refusals", "refuse"]

MEDIA_TYPE = "application/problem+json"
_SCHEMA = "#/components/schemas/Problem"


class Problem(BaseModel):
    """What is wrong with a request (RFC 9457)."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "type": "about:blank",
                "title": "Not Found",
                "status": 404,
                "detail": "the library has no file 12; see which it has at /v1/files",
            }
        }
    )

    type: str = Field(default="about:blank", description="What kind of problem: none but that of the status.")
    title: str = Field(description="The status in words.")
    status: int
    detail: str = Field(description="What is wrong, and what to do, in one sentence.")
    error: str | None = Field(
        default=None,
        description="The name of the exception that Echoic raises for it in Python, where it does.",
    )


def problem(
    status: int, detail: str, *, error: str | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """Make the response that refuses a request."""
    told = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail, error=error)
    content = json.dumps(told.model_dump(exclude_none=True)).encode("ascii")
    return Response(content, status, dict(headers or {}), MEDIA_TYPE)


def refuse(status: int, detail: str, **headers: str) -> NoReturn:
    """Refuse a request; of a header's name, ``_`` stands for ``-``."""
    spelt = {name.replace("_", "-"): value for name, value in headers.items()}
    raise HTTPException(status, detail, spelt)


def status_of(error: EchoicError) -> int:
    """Choose the status of what Echoic raises."""
    if isinstance(error, UnreadableError):
        return 404  # a file of the library that is gone
    if isinstance(error, (UsageError, AudioError)):
        return 422
    return 409 if isinstance(error, LibraryBusyError) else 503


_WHEN = {
    401: "There is no key, or one that this service does not know.",
    403: "The key does not go as far as this, or a page of another site asks.",
    404: "The library has no such file, or it is gone.",
    408: "The sound took too long to arrive.",
    409: "Something else is being written at the moment.",
    413: "The body has too many bytes.",
    415: "The body is neither sound nor a picture, or is not said to be.",
    416: "The file has no such bytes.",
    421: "The service is not called by this name.",
    422: "A parameter makes no sense, or the sound cannot be used.",
    429: "Too much is asked for at once; Retry-After says when to try again.",
    503: "The library cannot be used at the moment.",
}


def refusals(
    *statuses: int, besides: Mapping[int, Mapping[str, Any]] = MappingProxyType({})
) -> dict[int | str, dict[str, Any]]:
    """Describe the refusals of a route for OpenAPI, with those that any route has, besides its answers."""
    every = {401, 403, 421, 422, 503, *statuses}
    content = {MEDIA_TYPE: {"schema": {"$ref": _SCHEMA}}}
    told: dict[int | str, dict[str, Any]] = {status: dict(answer) for status, answer in besides.items()}
    return told | {status: {"description": _WHEN[status], "content": content} for status in sorted(every)}


def handle_problems(app: FastAPI) -> None:
    """Have an application answer with problems whatever is raised in it."""

    @app.exception_handler(HTTPException)
    async def refused(_: Request, error: HTTPException) -> Response:
        return problem(error.status_code, error.detail, headers=error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        found = [{**one, "loc": one["loc"][1:]} for one in error.errors()]  # without: in the query
        return problem(422, spelt_out(found), error="UsageError")

    @app.exception_handler(EchoicError)
    async def raised(_: Request, error: EchoicError) -> Response:
        return problem(status_of(error), str(error), error=type(error).__name__)

    @app.exception_handler(Exception)
    async def failed(_: Request, error: Exception) -> Response:
        return problem(500, "the service failed at this request; its log says why")
