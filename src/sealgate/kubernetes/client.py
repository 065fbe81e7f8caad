"""Client of the API server, with the few requests that the webhook and the operator need.

The `kubernetes` library provides the connection: address, CA, credentials and their renewal, in a pod or from a
kubeconfig. Objects stay plain JSON: the library's typed models would more than double the webhook's memory
(`docs/decisions/0004-plain-objects-from-the-api-server.md`).
"""

from __future__ import annotations

import contextlib
import copy
import json
import os
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode

import urllib3
from kubernetes.client.api_client import ApiClient
from kubernetes.client.configuration import Configuration
from kubernetes.client.exceptions import ApiException
from kubernetes.config import ConfigException, load_incluster_config, load_kube_config

from sealgate.errors import ConfigError, NotFoundError, UnauthorizedError, UnavailableError
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

#: Seconds that an ordinary request may take.
REQUEST_SECONDS = 10.0
CONNECT_SECONDS = 5.0
#: The most bytes of one ordinary answer: a page of 500 objects, or one Secret.
MAX_RESPONSE_BYTES = 64 << 20

_CHUNK = 1 << 16

JSON = "application/json"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
MERGE_PATCH = "application/merge-patch+json"
#: Server-side apply. JSON is YAML.
APPLY_PATCH = "application/apply-patch+yaml"
#: The most bytes that are read of an error's Status, and the most characters of its message that are kept.
_MAX_STATUS_BYTES, MAX_STATUS_MESSAGE = 1 << 16, 512


class GoneError(UnavailableError):
    """The requested history is gone (410), or may be gone: relist."""


class ConflictError(UnavailableError):
    """There is an object of that name already, or it is no longer the version that was read (409)."""


class TooLargeError(UnavailableError):
    """The answer has more bytes than this connection reads."""


class RefusedError(UnavailableError):
    """The API server does not take what was sent (422): the outcome would be invalid."""


class ServerVersion(NamedTuple):
    """What the API server says about itself.

    Attributes:
        version: its version ("v1.36.0"), as it states it; empty if it states none.
        date: the `Date` of its response; empty if there is none.
    """

    version: str
    date: str


class KubernetesAPI:
    """A connection to the API server; thread-safe.

    Args:
        configuration: address, CA and credentials.
        renew: reads the credentials again; called when the API server refuses them.
    """

    def __init__(self, configuration: Configuration, renew: Callable[[], object] = lambda: None) -> None:
        configuration.retries = False
        configuration.keep_alive = True
        self._configuration = configuration
        self._renew = renew
        self._client = ApiClient(configuration)
        self._request_seconds = REQUEST_SECONDS
        self._max_bytes = MAX_RESPONSE_BYTES
        self._accepts = JSON

    def within(self, seconds: float) -> KubernetesAPI:
        """Return this connection with another limit for the time of an ordinary request, in seconds."""
        limited = copy.copy(self)
        limited._request_seconds = seconds  # noqa: SLF001 - a copy of this object
        return limited

    def bounded(self, max_bytes: int) -> KubernetesAPI:
        """Return this connection with another limit for the bytes of an ordinary answer."""
        limited = copy.copy(self)
        limited._max_bytes = max_bytes  # noqa: SLF001 - a copy of this object
        return limited

    def metadata_only(self) -> KubernetesAPI:
        """Return this connection with lists that have nothing but the metadata of their objects."""
        limited = copy.copy(self)
        limited._accepts = METADATA_LIST  # noqa: SLF001 - a copy of this object
        return limited

    def get(self, path: str, query: Mapping[str, str | int] | None = None) -> dict[str, Any]:
        """Return what the API server has at a path ("/api/v1/namespaces/default").

        Raises:
            NotFoundError: it has nothing there.
            GoneError: a list's continuation has expired.
            UnavailableError: it could not be asked (and its subclasses).
        """
        return self._document(self._send("GET", path, query))

    def discover(self, path: str) -> dict[str, Any]:
        """Return a discovery document ("/apis/apps"), which unlike an object has no metadata.

        Raises:
            NotFoundError: the API server does not serve that group or version.
            UnavailableError: it could not be asked (and its subclasses).
        """
        return self._read(self._send("GET", path))

    def read_text(self, path: str, query: Mapping[str, str | int], limit: int) -> bytes:
        """Return the first bytes of a text that the API server has at a path, such as the log of a container.

        Args:
            path: of the text.
            query: of the request.
            limit: the most bytes to return.

        Raises:
            NotFoundError: it has nothing there.
            UnavailableError: it could not be asked (and its subclasses).
        """
        response = self._send("GET", path, query)
        try:
            return response.read(limit)
        except urllib3.exceptions.HTTPError as error:
            raise UnavailableError(f"the API server's answer broke off: {type(error).__name__}") from error
        finally:
            # There may be more, so the connection cannot be used again.
            response.close()

    def version(self) -> ServerVersion:
        """Return the version of the API server, and the time that it states.

        Raises:
            UnavailableError: it could not be asked (and its subclasses).
        """
        response = self._send("GET", "/version")
        date = response.headers.get("Date") or ""
        return ServerVersion(str(self._read(response).get("gitVersion") or ""), date)

    def create(self, path: str, document: Mapping[str, Any]) -> dict[str, Any]:
        """Create an object in the collection at a path and return it.

        Raises:
            ConflictError: there is one of that name.
            UnavailableError: it could not be done (and its subclasses).
        """
        return self._document(self._send("POST", path, body=document, content_type=JSON))

    def merge(self, path: str, document: Mapping[str, Any]) -> dict[str, Any]:
        """Change the object at a path by a merge patch and return it.

        Raises:
            NotFoundError: it has nothing there.
            UnavailableError: it could not be done (and its subclasses).
        """
        return self._document(self._send("PATCH", path, body=document, content_type=MERGE_PATCH))

    def replace(self, path: str, document: Mapping[str, Any]) -> dict[str, Any]:
        """Replace the object at a path and return it; with a `resourceVersion`, only that version of it.

        Raises:
            NotFoundError: it has nothing there.
            ConflictError: it has another version.
            UnavailableError: it could not be done (and its subclasses).
        """
        return self._document(self._send("PUT", path, body=document, content_type=JSON))

    def delete(self, path: str, version: str = "") -> None:
        """Delete the object at a path.

        Args:
            path: of the object.
            version: the only `resourceVersion` of it to delete; empty for any.

        Raises:
            NotFoundError: it has nothing there.
            ConflictError: it has another version.
            UnavailableError: it could not be done (and its subclasses).
        """
        options = {"preconditions": {"resourceVersion": version}} if version else {}
        response = self._send("DELETE", path, body=options, content_type=JSON)
        response.drain_conn()
        response.release_conn()

    def apply(self, path: str, document: Mapping[str, Any], manager: str) -> dict[str, Any]:
        """Apply fields to an existing object by server-side apply, with force, and return the object.

        Fields that the manager applied before and that are not in the document any more are removed.

        Args:
            path: of the object.
            document: the fields. It must carry the `metadata.uid` of the object that was read: with a uid the API
                server changes that very object and never creates one.
            manager: the field manager that owns the fields from then on.

        Raises:
            ConflictError: the object is gone, or another one has its name.
            RefusedError: the outcome would be invalid; the message carries the API server's reason.
            UnavailableError: it could not be done (and its subclasses).
        """
        query = {"fieldManager": manager, "force": "true"}
        body = json.dumps(document).encode()
        return self._document(self._send("PATCH", path, query, body=body, content_type=APPLY_PATCH))

    def dry_run(self, path: str, document: Mapping[str, Any]) -> str:
        """Ask, by a server-side dry run, whether an object would be created in the collection at a path.

        Returns:
            the API server's reason why not, unquoted, of at most `MAX_STATUS_MESSAGE` characters; empty if it would be.

        Raises:
            UnavailableError: the API server could not be asked, or gave no reason.
        """
        response = self._exchange("POST", path, {"dryRun": "All"}, body=document, content_type=JSON)
        try:
            if _is_success(response):
                return ""
            message = _status_message(response)
        finally:
            response.drain_conn()
            response.release_conn()
        if not message:
            raise _error(response.status, path)
        return message

    @property
    def configuration(self) -> Configuration:
        """Address, CA and credentials, for other clients of the same API server."""
        return self._configuration

    def watch(self, path: str, query: Mapping[str, str | int], silence: float) -> Iterator[dict[str, Any]]:
        """Yield the events of a watch until the API server ends it.

        Args:
            path: of the collection.
            query: `resourceVersion`, `timeoutSeconds` and the like.
            silence: seconds without any byte after which the connection counts as lost.

        Raises:
            GoneError: the resource version is too old, or nothing was heard for too long.
            UnavailableError: the connection could not be made, or was lost.
        """
        response = self._send("GET", path, {**query, "watch": "true"}, timeout=(CONNECT_SECONDS, silence))
        try:
            for line in _lines(response):
                event = _parse(line)
                if event.get("type") == "ERROR":
                    raise _error(event.get("object", {}).get("code", 0), path)
                yield event
        finally:
            # A watch that is left early has more to say; the connection cannot be used again.
            response.close()

    def _document(self, response: urllib3.BaseHTTPResponse) -> dict[str, Any]:
        document = self._read(response)
        metadata = document.get("metadata")
        # A proxy may respond in place of an unreachable API server; callers rely on these fields.
        if not isinstance(metadata, dict) or not isinstance(metadata.get("resourceVersion"), str):
            raise UnavailableError("unexpected response from the API server: not one of its objects")
        return document

    def _read(self, response: urllib3.BaseHTTPResponse) -> dict[str, Any]:
        try:
            body = response.read(self._max_bytes + 1)
            if len(body) > self._max_bytes:
                # The connection has more to say, and must not be used again.
                response.close()
                raise TooLargeError(f"the API server's response is larger than the limit of {self._max_bytes} bytes")
        except urllib3.exceptions.HTTPError as error:
            raise UnavailableError(f"the API server's answer broke off: {type(error).__name__}") from error
        finally:
            response.release_conn()
        return _parse(body)

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | int] | None = None,
        body: Mapping[str, Any] | bytes | None = None,
        content_type: str | None = None,
        timeout: float | tuple[float, float] | None = None,
    ) -> urllib3.BaseHTTPResponse:
        """Send a request and return the response, which says that it was done."""
        response = self._exchange(method, path, query, body, content_type, timeout)
        if _is_success(response):
            return response
        try:
            reason = _status_message(response) if content_type == APPLY_PATCH else ""
        finally:
            response.drain_conn()
            response.release_conn()
        if response.status == 401:  # noqa: PLR2004 - HTTP's "unauthorised"
            # The library rereads the token by the wall clock, which may have been set back.
            with contextlib.suppress(OSError, ConfigException):
                self._renew()
        raise _error(response.status, path, reason)

    def _exchange(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | int] | None = None,
        body: Mapping[str, Any] | bytes | None = None,
        content_type: str | None = None,
        timeout: float | tuple[float, float] | None = None,
    ) -> urllib3.BaseHTTPResponse:
        """Send a request and return the response, of any status."""
        headers = {"Accept": self._accepts}
        if content_type is not None:
            headers["Content-Type"] = content_type
        try:
            # This reads the token again when it is due.
            request = self._client.param_serialize(
                method, path, header_params=headers, body=body, auth_settings=["BearerToken"]
            )
            url = f"{request[1]}?{urlencode(query)}" if query else request[1]
            answer = self._client.call_api(
                method, url, request[2], request[3], _request_timeout=timeout or self._request_seconds
            )
        except ApiException as error:
            raise UnavailableError(f"the API server could not be asked: {quote(error.reason, 128)}") from error
        except (urllib3.exceptions.HTTPError, OSError, ConfigException) as error:
            raise UnavailableError(f"the API server could not be asked: {type(error).__name__}") from error
        response: urllib3.BaseHTTPResponse = answer.response
        return response


def uses_service_account(context: str | None) -> bool:
    """Return whether a connection without a kubeconfig file is that of a pod, by its ServiceAccount.

    Args:
        context: context of the kubeconfig; None for the current one.
    """
    return context is None and "KUBERNETES_SERVICE_HOST" in os.environ


def connect(kubeconfig: Path | None = None, context: str | None = None) -> KubernetesAPI:
    """Return a connection: in a pod by its ServiceAccount, elsewhere by a kubeconfig.

    Args:
        kubeconfig: the file; None for the usual ones.
        context: context in it; with one, a ServiceAccount is not used. None for the current one.

    Raises:
        ConfigError: there is neither, or it cannot be read.
    """
    configuration = Configuration()

    def read_service_account() -> None:
        load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]  # it has no types

    try:
        if kubeconfig is None and uses_service_account(context):
            read_service_account()
            return KubernetesAPI(configuration, read_service_account)
        path = str(kubeconfig) if kubeconfig else os.environ.get("KUBECONFIG")
        load_kube_config(path, context=context, client_configuration=configuration)  # type: ignore[no-untyped-call]  # it has no types
    except (ConfigException, OSError) as error:
        problem = f"the API server cannot be found: {quote(error)}"
        raise ConfigError(f"{problem}; check the kubeconfig and its context, or the pod's ServiceAccount") from error
    return KubernetesAPI(configuration)


def _lines(response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    """Yield the lines of a stream as they arrive."""
    rest = b""
    try:
        while chunk := response.read1(_CHUNK):
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) > MAX_RESPONSE_BYTES:
                raise UnavailableError("an event of the API server is too large")
            yield from (line for line in lines if line)
    except urllib3.exceptions.ReadTimeoutError as error:
        raise GoneError("the watch was silent for too long") from error
    except urllib3.exceptions.HTTPError as error:
        raise UnavailableError(f"the watch broke off: {type(error).__name__}") from error


def _parse(text: bytes) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except ValueError as error:
        raise UnavailableError("the API server's answer is not JSON") from error
    if not isinstance(document, dict):
        raise UnavailableError("the API server's answer is not an object")
    return document


def _is_success(response: urllib3.BaseHTTPResponse) -> bool:
    return 200 <= response.status < 300  # noqa: PLR2004 - what HTTP calls success


def _status_message(response: urllib3.BaseHTTPResponse) -> str:
    """Return the message of the Status that a failure carries; empty if it carries none."""
    try:
        document = _parse(response.read(_MAX_STATUS_BYTES))
    except (urllib3.exceptions.HTTPError, UnavailableError):
        return ""
    message = document.get("message") if document.get("kind") == "Status" else None
    return message[:MAX_STATUS_MESSAGE] if isinstance(message, str) else ""


def _error(status: int, path: str, reason: str = "") -> UnavailableError:
    message = f"the API server answered {status} for {quote(path)}"
    if reason:
        message += f": {quote(reason, MAX_STATUS_MESSAGE)}"
    kinds: dict[int, type[UnavailableError]] = {
        401: UnauthorizedError,
        403: UnauthorizedError,
        404: NotFoundError,
        409: ConflictError,
        410: GoneError,
        422: RefusedError,
    }
    return kinds.get(status, UnavailableError)(message)
