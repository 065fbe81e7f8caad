"""Faults between a client and a simulator, switched on by a test.

Nothing here sleeps: what is slow waits for an event that the test, or closing the simulator, sets.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.support.simulators.http_messages import Answer, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.support.simulators.http import Handler

_DRIP_SECONDS = 0.02


@dataclass(slots=True)
class Fault:
    """A fault of the requests that it matches, created by the methods of `Faults`.

    Attributes:
        path: a regular expression searched in path and query.
        change: turns the right answer into the wrong one.
        send: writes the answer itself (drips, endless bodies) instead of the usual way.
        times: how often it still happens; None for always.
        method: of the requests that it matches; empty for any.
        hit: set when the first matching request has arrived.
    """

    path: str
    change: Callable[[Answer], Answer] | None = None
    send: Callable[[Handler, Answer], None] | None = None
    times: int | None = None
    method: str = ""
    hit: threading.Event = field(default_factory=threading.Event)


class Faults:
    """Switches for faults. `path` is always a regular expression searched in path and query.

    The first fault that matches wins; `times` limits how often it happens. Each method returns the fault, whose
    `hit` is set when a matching request has arrived.
    """

    def __init__(self, closing: threading.Event) -> None:
        """Start without faults; `closing` ends every wait."""
        self._faults: list[Fault] = []
        self._closing = closing
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> Fault:
        """Switch on a custom fault."""
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """Switch everything off."""
        with self._lock:
            self._faults.clear()

    def take(self, target: str, method: str) -> Fault | None:
        """Return the fault for a request, counting it; None if all is well."""
        with self._lock:
            for fault in self._faults:
                if fault.times != 0 and fault.method in ("", method) and re.search(fault.path, target):
                    if fault.times is not None:
                        fault.times -= 1
                    fault.hit.set()
                    return fault
        return None

    def answer(
        self,
        path: str,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        times: int | None = None,
    ) -> Fault:
        """Answer with exactly this."""
        answer = Answer(status, dict(headers or {}), body)
        return self.add(Fault(path, lambda _: answer, times=times))

    def status(self, path: str, status: int, times: int | None = None) -> Fault:
        """Answer with this status and an error document of that registry."""
        body = encode({"errors": [{"code": "FAULT", "message": "switched on by a test"}]})
        return self.answer(path, status, {"Content-Type": "application/json"}, body, times)

    def rate_limit(self, path: str, retry_after: str | None, times: int | None = 1) -> Fault:
        """Answer 429, with a Retry-After unless that is None."""
        headers = {} if retry_after is None else {"Retry-After": retry_after}
        return self.answer(path, 429, headers, b"too many requests", times)

    def redirect(self, path: str, location: str, status: int = 307, times: int | None = None) -> Fault:
        """Redirect the client; `location` is the exact header value."""
        return self.answer(path, status, {"Location": location}, b"", times)

    def header(self, path: str, name: str, value: str | None, times: int | None = None) -> Fault:
        """Serve the faultless response with one header replaced, or (None) removed."""

        def change(answer: Answer) -> Answer:
            headers = {key: text for key, text in answer.headers.items() if key.lower() != name.lower()}
            return Answer(answer.status, headers if value is None else {**headers, name: value}, answer.body)

        return self.add(Fault(path, change, times=times))

    def body(self, path: str, body: bytes, times: int | None = None) -> Fault:
        """Serve the right status and headers (the digest header included) with other bytes."""
        return self.add(Fault(path, lambda answer: Answer(answer.status, answer.headers, body), times=times))

    def hang(self, path: str, times: int | None = None) -> Fault:
        """Read the request, then send nothing until the simulator closes."""

        def send(handler: Handler, _: Answer) -> None:
            self._closing.wait()
            handler.close_connection = True

        return self.add(Fault(path, send=send, times=times))

    def wait_for(self, path: str, event: threading.Event, times: int | None = None) -> Fault:
        """Serve the faultless response once the event is set."""

        def change(answer: Answer) -> Answer:
            while not event.wait(_DRIP_SECONDS) and not self._closing.is_set():
                pass
            return answer

        return self.add(Fault(path, change, times=times))

    def drop(self, path: str, times: int | None = None, after: bytes = b"") -> Fault:
        """Close the connection without a response, or after these bytes of one."""

        def send(handler: Handler, _: Answer) -> None:
            handler.wfile.write(after)
            handler.close_connection = True

        return self.add(Fault(path, send=send, times=times))

    def raw(self, path: str, data: bytes, times: int | None = None) -> Fault:
        """Send these bytes as the whole response, status line included, and keep the connection open."""

        def send(handler: Handler, _: Answer) -> None:
            handler.wfile.write(data)

        return self.add(Fault(path, send=send, times=times))

    def drip(self, path: str, between: Callable[[], object] | None = None, *, headers: bool = False) -> Fault:
        """Serve the faultless response byte by byte (optionally the headers too), calling `between` after each.

        `between` may advance a fake clock; without it a little real time passes.
        """

        def send(handler: Handler, answer: Answer) -> None:
            head, body = handler.render(answer)
            if not headers:
                handler.wfile.write(head)
                handler.wfile.flush()
            for byte in (head if headers else b"") + body:
                handler.wfile.write(bytes((byte,)))
                handler.wfile.flush()
                if between is not None:
                    between()
                elif self._closing.wait(_DRIP_SECONDS):
                    break

        return self.add(Fault(path, send=send))

    def endless(
        self, path: str, headers: Mapping[str, str] | None = None, chunk: bytes = b"\0" * 65536, status: int = 200
    ) -> Fault:
        """Never stop sending; with no headers given the body has no declared length and ends with the connection."""

        def send(handler: Handler, _: Answer) -> None:
            lines = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
            handler.wfile.write(f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode())
            while not self._closing.is_set():
                handler.wfile.write(chunk)
            handler.close_connection = True

        return self.add(Fault(path, send=send))
