"""Responses other than 2xx, raised where it is known that there can be no other."""

from __future__ import annotations

from math import ceil
from typing import Final

from flask import Response

from sealgate.errors import SealgateError

_UNAUTHORIZED: Final = 401


class AnsweredError(SealgateError):
    """The response to a request is not 2xx.

    Args:
        status: HTTP status.
        message: see `SealgateError`; the client gets it.
        retry_after: seconds after which the same request may succeed; 0 for no statement.
    """

    def __init__(self, status: int, message: str, *, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after

    def response(self) -> Response:
        """Return the response."""
        response = Response(f"{self.message}\n", self.status, mimetype="text/plain")
        if self.retry_after:
            response.headers["Retry-After"] = str(ceil(self.retry_after))
        if self.status == _UNAUTHORIZED:
            # Oracle Notifications sends its credentials only to whom asks for them in this way.
            response.headers["WWW-Authenticate"] = 'Basic realm="sealgate"'
        return response
