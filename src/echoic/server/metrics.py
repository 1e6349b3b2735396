"""Figures for Prometheus: requests by route and status, how long they took, what is being done."""

from __future__ import annotations

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["MEDIA_TYPE", "Measured", "Metrics"]

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """The figures of one service."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ["method", "route", "status"]
        self.requests = Counter(
            "echoic_requests", "Requests that were answered.", labels, registry=self.registry
        )
        self.seconds = Histogram(
            "echoic_request_seconds",
            "Time until an answer began.",
            ["route"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.working = Gauge(
            "echoic_working", "Requests that are worked on or wait for a thread.", registry=self.registry
        )
        self.files = Gauge("echoic_files", "Files of the library.", registry=self.registry)

    def text(self) -> bytes:
        """Return all figures in Prometheus's own format."""
        return generate_latest(self.registry)


class Measured:
    """Counts what an application answers, and how soon.

    Parameters
    ----------
    app : ASGI application
    metrics : Metrics
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = time.perf_counter()

        async def send_counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                # By the route's pattern: paths would be as many as there are files, or as somebody makes up.
                route = getattr(scope.get("route"), "path", "none")
                method = scope["method"] if scope["method"] in _METHODS else "other"
                self._metrics.requests.labels(method, route, message["status"]).inc()
                self._metrics.seconds.labels(route).observe(time.perf_counter() - begun)
            await send(message)

        await self._app(scope, receive, send_counted)


_METHODS = frozenset({"GET", "HEAD", "POST", "DELETE"})
