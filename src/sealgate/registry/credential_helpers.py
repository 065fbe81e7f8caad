"""Credential helper programs: `docker-credential-NAME get`, bounded in time and output."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import threading
from typing import IO, TYPE_CHECKING, cast

from cachetools import TTLCache

from sealgate.clocks import SystemClock
from sealgate.errors import UnavailableError
from sealgate.messages import quote
from sealgate.parsing import strict_json
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.clocks import Clock

#: Timeout of a helper in seconds.
HELPER_SECONDS = 5.0
#: Maximum bytes of a helper's output.
MAX_HELPER_BYTES = 64 << 10
#: TTL of a helper's answer in seconds; the shortest tokens of clouds are valid for minutes.
KEEP_SECONDS = 60.0

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_NOT_FOUND = b"credentials not found in native keychain"


class CredentialHelpers:
    """The credential helpers that a docker config names. Thread-safe.

    Args:
        own: name of the helper by registry (`credHelpers`).
        store: name of the helper for all other registries (`credsStore`); None for none.
        clock: measures the TTL of answers; the system's by default.

    Raises:
        ValueError: a name is not one of a helper.
    """

    def __init__(self, own: Mapping[str, str], store: str | None, clock: Clock | None = None) -> None:
        if not all(_NAME.fullmatch(name) for name in (*own.values(), *([store] if store else []))):
            raise ValueError("not the name of a credential helper")
        self._own = dict(own)
        self._store = store
        known: TTLCache[str, tuple[str, str] | None]
        known = TTLCache(256, KEEP_SECONDS, timer=(clock or SystemClock()).monotonic)
        self._known = known
        self._lock = threading.Lock()

    def has_own(self, registry: str) -> bool:
        """Return whether a registry has its own helper."""
        return registry in self._own

    def get(self, registry: str, server: str) -> tuple[str, str] | None:
        """Return user name and secret for a registry; None if its helper has none, or there is no helper.

        Args:
            registry: the registry as references spell it.
            server: the registry as the helper spells it.

        Raises:
            UnavailableError: the helper is missing or failed.
        """
        name = self._own.get(registry, self._store)
        if name is None:
            return None
        with self._lock:
            if server in self._known:
                return self._known[server]
        found = _run(name, server)
        with self._lock:
            self._known[server] = found
        return found


def _run(name: str, server: str) -> tuple[str, str] | None:
    program = shutil.which(f"docker-credential-{name}")
    if program is None:
        raise _failed(name, "it is not installed")
    output, status = _output(name, program, server)
    if status != 0:
        if output.strip() == _NOT_FOUND:
            return None
        raise _failed(name, f"it ended with status {status}")
    try:
        answer = strict_json.parse_object(output, "its answer", limit=MAX_HELPER_BYTES)
        return strict_json.text_member(answer, "Username", "it"), strict_json.text_member(answer, "Secret", "it")
    except strict_json.MalformedError:
        raise _failed(name, "its answer is not the JSON that helpers give") from None  # the cause may quote a secret


def _output(name: str, program: str, server: str) -> tuple[bytes, int]:
    try:
        process = subprocess.Popen(  # noqa: S603 - the user's own config names it, and its name was checked
            [program, "get"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        raise _failed(name, "it cannot be started") from error
    with process:
        timer = threading.Timer(HELPER_SECONDS, _kill, (process,))
        timer.start()
        try:
            return _converse(name, process, server)
        finally:
            timer.cancel()
            _kill(process)


def _converse(name: str, process: subprocess.Popen[bytes], server: str) -> tuple[bytes, int]:
    with contextlib.suppress(BrokenPipeError), cast("IO[bytes]", process.stdin) as pipe:
        pipe.write(server.encode())
    output = cast("IO[bytes]", process.stdout).read(MAX_HELPER_BYTES + 1)
    if len(output) > MAX_HELPER_BYTES:
        raise _failed(name, "it prints too much")
    return output, process.wait()


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill the helper and all processes that it started: they are in a session of their own."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _failed(name: str, why: str) -> UnavailableError:
    msg = f"the credential helper docker-credential-{quote(name)} failed: {why}"
    return UnavailableError(msg, reason=Reason.REGISTRY_UNAUTHORIZED)
