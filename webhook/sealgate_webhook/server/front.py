"""ASGI application in front of the Flask application.

It receives the bodies, and answers a review itself, in the event loop, where that takes nothing but memory. Everything
else goes to the Flask application, in threads:

- small reviews are decoded in the event loop, and answered there if they can be answered from memory;
- large ones wait for each other only: for the bytes that they take while they are received, then for the one thread
  that decodes them, and answers them from memory if it can;
- small reviews whose images must be verified have that begun, wait in the event loop in the place of a thread, and are
  answered here (decision 19);
- other reviews that may have to wait are handed to the Flask application in a pool that namespaces share fairly;
- reviews of policy objects have a pool of their own: one at a time of each user, and two in total;
- probes are answered in the event loop; all other requests go to the Flask application, in the pool.

A review that no thread can take, or none took before its deadline, is answered at once with when to retry.
"""

from __future__ import annotations

import asyncio
import io
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Final

from sealgate_webhook.reviews.request import UnusableReviewError
from sealgate_webhook.server.app import POLICY_OBJECTS, REVIEW, create_app
from sealgate_webhook.server.bodies import LARGE_BYTES, BodyBudget
from sealgate_webhook.server.heads import CONTENT_TYPE, RefusedRequestError, ReviewHead, busy
from sealgate_webhook.server.probes import create_probes
from sealgate_webhook.server.receiving import SmallBodies, receive_body
from sealgate_webhook.transport.request_pool import BusyError, RequestPool
from sealgate_webhook.transport.wsgi_bridge import WSGIBridge, WSGIResponse, environ_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sealgate.clocks import Clock, Deadline
    from sealgate.process.serving.asgi import Message, Receive, Scope, Send
    from sealgate_webhook.admission.sources import PolicySource
    from sealgate_webhook.reviews.request import AdmissionRequest
    from sealgate_webhook.server.endpoints import AdmissionEndpoint

#: Threads for reviews of policy objects: one user gets one of them.
POLICY_OBJECT_THREADS: Final = 2
#: The most of a review's time that it waits for a thread: one that gets a thread at its deadline would only begin
#: requests that nothing waits for.
MAX_WAIT: Final = 0.75
_JSON: Final = CONTENT_TYPE.encode()
_PLAIN: Final = b"text/plain; charset=utf-8"


class Front:
    """ASGI application with the whole webhook. For one event loop.

    Args:
        endpoints: endpoint of each path.
        policies: the webhook is ready once there are some.
        clock: measures deadlines.
        threads: requests that may wait in progress at once, at least 1.
    """

    def __init__(
        self,
        endpoints: Mapping[str, AdmissionEndpoint],
        policies: PolicySource,
        clock: Clock,
        threads: int,
    ) -> None:
        self._endpoints = endpoints
        self._probes = create_probes(policies)
        self._clock = clock
        self._small, self._large = SmallBodies(), BodyBudget()
        self._pool, self._policy_objects = RequestPool(threads), RequestPool(POLICY_OBJECT_THREADS)
        self._bridge = WSGIBridge(create_app(endpoints, policies, clock), self._pool)
        # One thread: decoding holds the interpreter, so that a second one would only take more memory at once.
        self._decoding = ThreadPoolExecutor(1, "decoding")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        path, method = scope["path"], scope["method"]
        if (endpoint := self._endpoints.get(path)) is not None:
            response = await self._review(endpoint, scope, receive)
        elif method == "GET" and (probe := self._probes.get(path)) is not None:
            status, text = probe()
            response = _response(status, text.encode(), _PLAIN)
        else:
            # No other route reads a body, so that no response waits for one.
            await self._bridge(scope, _no_body, send)
            return
        await response.send(send)

    def close(self) -> None:
        """Start no more work."""
        self._pool.close()
        self._policy_objects.close()
        self._decoding.shutdown(wait=False, cancel_futures=True)

    async def _review(self, endpoint: AdmissionEndpoint, scope: Scope, receive: Receive) -> WSGIResponse:
        head = ReviewHead.of_scope(scope, dict(scope["headers"]), self._clock)
        with endpoint.in_progress():
            try:
                length, deadline = endpoint.accept(head)
                if 0 <= length <= LARGE_BYTES:
                    body = await self._small.receive(receive, length)
                    request = endpoint.decode(body)
                    answer = endpoint.answer_from_verdicts(request, deadline, head.arrived)
                    if answer is None and endpoint.has_steps:
                        answer = await self._in_steps(endpoint, request, length, deadline, head.arrived)
                else:
                    decoded = await self._large_review(endpoint, scope, receive, length, deadline, head.arrived)
                    if isinstance(decoded, WSGIResponse):
                        return decoded
                    request, answer = decoded, None
                if answer is None:
                    return await self._hand_on(endpoint, scope, request, max(length, 0), deadline, head.arrived)
            except UnusableReviewError as error:
                answer = endpoint.answer_unusable(error, head.arrived)
            except RefusedRequestError as error:
                return _refusal(endpoint, error, head.arrived)
        return _response(200, answer, _JSON)

    async def _large_review(  # noqa: PLR0913, PLR0917 - one request and its deadline
        self,
        endpoint: AdmissionEndpoint,
        scope: Scope,
        receive: Receive,
        length: int,
        deadline: Deadline,
        arrived: float,
    ) -> AdmissionRequest | WSGIResponse:
        """Receive and decode a large body, and return the same as `_from_memory`."""
        ration = self._large.ask(length, scope["client"][0])
        held: list[bytes] = []
        with ration:
            try:
                await asyncio.wait_for(asyncio.wrap_future(ration.granted), max(deadline.remaining(), 0))
                held.append(await asyncio.wait_for(receive_body(receive, length), max(deadline.remaining(), 0)))
                decoding = partial(_from_memory, endpoint, held, deadline, arrived)
                decoded = asyncio.get_running_loop().run_in_executor(self._decoding, decoding)
                return await asyncio.wait_for(decoded, max(deadline.remaining(), 0))
            except TimeoutError as error:
                raise busy() from error
            finally:
                # Work that has not begun stays in the queue of its thread for a while, but not with the body.
                held.clear()

    async def _in_steps(
        self, endpoint: AdmissionEndpoint, request: AdmissionRequest, size: int, deadline: Deadline, arrived: float
    ) -> bytes | None:
        """Return the response to a review that waits here, in a thread's place; None if a thread must answer it."""
        answer = None
        with self._pool.place(request.namespace, size) as granted:
            if granted:
                answer = await endpoint.answer_in_steps(request, deadline, arrived)
        return endpoint.answer_from_memory(request, deadline, arrived) if answer is None else answer

    async def _hand_on(  # noqa: PLR0913, PLR0917 - one request and its deadline
        self,
        endpoint: AdmissionEndpoint,
        scope: Scope,
        request: AdmissionRequest,
        size: int,
        deadline: Deadline,
        arrived: float,
    ) -> WSGIResponse:
        """Have the Flask application answer a review that may have to wait."""
        environ = environ_of(scope, io.BytesIO())
        environ[REVIEW] = request
        pool, tenant = self._pool, request.namespace
        if scope["path"] == POLICY_OBJECTS:
            pool, tenant = self._policy_objects, request.username
        try:
            return await self._bridge.run(environ, pool, tenant, size, deadline.remaining() * MAX_WAIT)
        except BusyError:
            return _response(200, endpoint.answer_busy(request, arrived), _JSON)


async def _no_body() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


def _from_memory(
    endpoint: AdmissionEndpoint, held: list[bytes], deadline: Deadline, arrived: float
) -> AdmissionRequest | WSGIResponse:
    """Return the response to the review in a body, or its request if that may have to wait.

    The refusal of a body is returned too: as an exception it would be in a cycle with the future that carries it, which
    keeps the frames of its traceback, and with them the body and what was decoded, until the next garbage collection.

    Args:
        endpoint: decodes it.
        held: the body; it is taken out.
        deadline: by when the response must be on its way.
        arrived: when it arrived.
    """
    try:
        request = endpoint.decode(held.pop())
    except UnusableReviewError as error:
        return _response(200, endpoint.answer_unusable(error, arrived), _JSON)
    except RefusedRequestError as error:
        return _refusal(endpoint, error, arrived)
    answer = endpoint.answer_from_memory(request, deadline, arrived)
    return request if answer is None else _response(200, answer, _JSON)


def _refusal(endpoint: AdmissionEndpoint, error: RefusedRequestError, arrived: float) -> WSGIResponse:
    return _response(error.status, endpoint.refuse(error, arrived), _PLAIN, error.headers)


def _response(status: int, body: bytes, content_type: bytes, headers: Sequence[tuple[str, str]] = ()) -> WSGIResponse:
    fields = [(b"content-type", content_type), (b"content-length", b"%d" % len(body))]
    fields += [(name.lower().encode(), value.encode()) for name, value in headers]
    return WSGIResponse(status, fields, body)
