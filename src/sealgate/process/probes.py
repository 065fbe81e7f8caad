"""Probes of the kubelet, `/healthz` and `/readyz`, on the port of the metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealgate.process.metrics_server import metrics_app
from sealgate.process.serving.asgi import respond

if TYPE_CHECKING:
    from collections.abc import Callable

    from prometheus_client import CollectorRegistry

    from sealgate.process.serving.asgi import ASGIApplication, Receive, Scope, Send


def probes_app(
    registry: CollectorRegistry, well: Callable[[], bool], problem: Callable[[], str] = lambda: ""
) -> ASGIApplication:
    """Return the ASGI application of the port: `/healthz` and `/readyz`, and metrics on other paths.

    Args:
        registry: the metrics to serve.
        well: returns whether every background task runs.
        problem: returns why this process is not ready; empty if it is.
    """
    scrape = metrics_app(registry)

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if path not in {"/healthz", "/readyz"}:
            await scrape(scope, receive, send)
            return
        why = "" if well() else "a background task has stopped"
        if path == "/readyz":
            why = why or problem()
        text = f"{why or 'ok'}\n".encode("ascii", "backslashreplace")
        await respond(send, 503 if why else 200, text, b"text/plain")

    return answer
