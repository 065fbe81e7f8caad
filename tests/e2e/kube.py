"""Access to the cluster: kubectl and helm as users run them, and direct requests where they are frequent."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import urllib3

from sealgate.kubernetes.client import connect
from tests.support.real_tools.required import require_tool

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Object = dict[str, Any]
T = TypeVar("T")

#: Seconds between two checks of a condition that is waited for.
POLL_SECONDS = 0.1
#: Seconds within which a condition must hold, and commands end. They are long enough for a machine that is busy with
#: other work, and for controllers and kubelets that repeat what failed ever more rarely.
TIMEOUT_SECONDS = 150.0
COMMAND_SECONDS = 330.0
#: Attempts of a request that got no response, and seconds between two.
ATTEMPTS, RETRY_SECONDS = 3, 1.0
#: What kubectl says of a request that the API server has not begun to process.
_NOT_RECEIVED = ("The connection to the server", "Unable to connect to the server: net/http: TLS handshake timeout")
TOO_MANY_REQUESTS = 429


@dataclass(frozen=True, slots=True)
class Done:
    """Result of a command.

    Attributes:
        code: exit status.
        out: standard output.
        err: standard error.
    """

    code: int
    out: str
    err: str

    @property
    def ok(self) -> bool:
        """Whether it succeeded."""
        return self.code == 0

    def checked(self) -> Done:
        """Return itself; fail with the output if the command failed."""
        assert self.ok, self.err or self.out
        return self


def run(
    *command: str, text: str = "", environment: Mapping[str, str] | None = None, seconds: float = COMMAND_SECONDS
) -> Done:
    """Run a program and wait for it, at most `seconds`."""
    done = subprocess.run(
        command,
        input=text,
        text=True,
        capture_output=True,
        check=False,
        timeout=seconds,
        env={**os.environ, **(environment or {})},
    )
    return Done(done.returncode, done.stdout, done.stderr)


def kubectl(*arguments: str, text: str = "") -> Done:
    """Run kubectl; repeat what the API server did not receive."""
    done = run(require_tool("kubectl"), *arguments, text=text)
    for _ in range(ATTEMPTS - 1):
        if done.ok or not any(said in done.err for said in _NOT_RECEIVED):
            break
        time.sleep(RETRY_SECONDS)
        done = run(require_tool("kubectl"), *arguments, text=text)
    return done


def helm(*arguments: str, text: str = "", tool: str = "helm") -> Done:
    """Run helm, or helm3; `--values -` reads `text`."""
    return run(require_tool(tool), *arguments, text=text)


def apply(*objects: Object, dry_run: bool = False) -> Done:
    """Run `kubectl apply` on objects."""
    options = ["--dry-run=server"] if dry_run else []
    document = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
    return kubectl("apply", *options, "-f", "-", text=json.dumps(document))


def get(*arguments: str) -> Any:  # noqa: ANN401 - any JSON
    """Return what `kubectl get -o json` prints."""
    return json.loads(kubectl("get", "-o", "json", *arguments).checked().out)


def wait_for_right(user: str, verb: str, resource: str, *options: str) -> None:
    """Wait until the API server knows a right that has just been given to a user.

    Args:
        user: name of the user.
        verb: "list", for instance.
        resource: plural of the kind.
        options: of `kubectl auth can-i`, such as the namespace.
    """
    eventually(
        lambda: kubectl("auth", "can-i", verb, resource, *options, f"--as={user}").out.strip() == "yes",
        f"{user} may {verb} {resource}",
    )


def condition(kind: str, name: str, condition_type: str = "Ready") -> Any:  # noqa: ANN401 - any JSON
    """Return a condition of an Authenticator or a VerificationPolicy, or {} if it has none of that type yet.

    Args:
        kind: "authenticator" or "verificationpolicy".
        name: name of the object.
        condition_type: type of the condition.
    """
    plural = {"authenticator": "authenticators", "verificationpolicy": "verificationpolicies"}[kind]
    found = api().send("GET", f"/apis/sealgate.dev/v1alpha1/{plural}/{name}").checked().document
    conditions = found.get("status", {}).get("conditions", [])
    return next((item for item in conditions if item["type"] == condition_type), {})


def eventually(check: Callable[[], T], what: str, seconds: float = TIMEOUT_SECONDS) -> T:
    """Call `check` until its result is true and return that; fail after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        found = check()
        if found:
            return found
        assert time.monotonic() < end, f"{what}: not within {seconds:.0f} s"
        time.sleep(POLL_SECONDS)


@dataclass(frozen=True, slots=True)
class Response:
    """The API server's response to a request.

    Attributes:
        status: HTTP status; 0 without a response.
        document: the object, or a Status with a message.
        warnings: text of the Warning headers.
    """

    status: int
    document: Object = field(default_factory=dict)
    warnings: str = ""

    @property
    def ok(self) -> bool:
        """Whether the request succeeded."""
        return 200 <= self.status < 300  # noqa: PLR2004 - HTTP's statuses of success

    @property
    def denied(self) -> bool:
        """Whether an admission webhook refused the object; false if a webhook could not be called."""
        return " denied the request: " in self.document.get("message", "")

    def checked(self) -> Response:
        """Return itself; fail with the API server's document if the request failed."""
        assert self.ok, (self.status, self.document)
        return self


class Api:
    """The API server of the kubeconfig, over persistent connections; thread-safe.

    A request takes milliseconds, whereas a start of kubectl takes tenths of a second of CPU.
    """

    def __init__(self) -> None:
        found = os.environ.get("KUBECONFIG", "").split(os.pathsep)[0]
        configuration = connect(Path(found) if found else None).configuration
        self._host = configuration.host
        token = configuration.get_api_key_with_prefix("BearerToken") or configuration.get_api_key_with_prefix(
            "authorization"
        )
        self._headers = {"Accept": "application/json", **({"Authorization": token} if token else {})}
        self._pool = urllib3.PoolManager(
            maxsize=16,
            cert_reqs="CERT_REQUIRED" if configuration.verify_ssl else "CERT_NONE",
            ca_certs=configuration.ssl_ca_cert,
            cert_file=configuration.cert_file,
            key_file=configuration.key_file,
            retries=False,
            timeout=40,
        )

    def send(self, method: str, path: str, body: Object | None = None) -> Response:
        """Send a request; a response with status 0 says that there was none. A read is repeated then."""
        response = self._send(method, path, body)
        for _ in range(ATTEMPTS - 1):
            if method != "GET" or response.status not in {0, TOO_MANY_REQUESTS}:
                break
            time.sleep(RETRY_SECONDS)
            response = self._send(method, path, body)
        return response

    def patch(self, path: str, *operations: Object) -> Response:
        """Send a JSON patch."""
        return self._send("PATCH", path, list(operations), "application/json-patch+json")

    def _send(self, method: str, path: str, body: object, content_type: str = "application/json") -> Response:
        headers = {**self._headers, "Content-Type": content_type}
        try:
            answer = self._pool.request(
                method, self._host + path, body=json.dumps(body) if body else None, headers=headers
            )
        except urllib3.exceptions.HTTPError as error:
            return Response(0, {"message": type(error).__name__})
        # An API server that starts may respond with plain text.
        is_json = answer.headers.get("Content-Type", "").startswith("application/json")
        document = json.loads(answer.data) if is_json else {"message": answer.data.decode(errors="replace")}
        return Response(answer.status, document, answer.headers.get("Warning", ""))


@functools.cache
def api() -> Api:
    """Return the connection to the API server that all tests share."""
    return Api()
