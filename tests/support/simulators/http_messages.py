"""Requests to and responses of a simulator."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def encode(document: object) -> bytes:
    """Return a document as the bytes that the simulator stores for it: compact JSON."""
    return json.dumps(document, separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """One received request.

    Attributes:
        method: HTTP method ("GET").
        path: without the query ("/v2/team/app/manifests/v1").
        query: the query's pairs, in order.
        headers: names in lower case.
        body: bytes of the body.
        connection: which TCP connection it came on; 1 for the first that carried a request.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]
    body: bytes
    connection: int


@dataclass(slots=True)
class Answer:
    """A response: status, headers, body."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


def json_answer(document: object, status: int = 200) -> Answer:
    """Return a JSON response."""
    return Answer(status, {"Content-Type": "application/json"}, encode(document))


def registry_error(status: int, code: str) -> Answer:
    """Return an error document of a registry."""
    return json_answer({"errors": [{"code": code, "message": code.lower().replace("_", " ")}]}, status)
