"""OpenPGP keys that gpg holds: in its agent, in its key ring, on a card.

gpg is started for each signature, without a terminal and without its window for passphrases, so it never waits for a
person: a key whose passphrase the agent does not have is an error that names the key and what helps. gpg finds its keys
where it always does (`GNUPGHOME`, else `~/.gnupg`). What it returns is bounded in bytes and time.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, cast

from sealgate.errors import ConfigError, InvalidKeyError, SigningError
from sealgate.keys.openpgp.keyring import MAX_KEYRING_BYTES, load_keyring
from sealgate.keys.openpgp.packets import MAX_MESSAGE_BYTES
from sealgate.keys.openpgp.signing import choose_signing_key, only_once
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from sealgate.clocks import Deadline
    from sealgate.keys.openpgp.keyring import Keyring
    from sealgate.keys.openpgp.signing import PassphraseSource

#: What a key is named with on the command line: `gpg:FINGERPRINT`.
PREFIX = "gpg:"

_PROGRAM = "gpg"
_FINGERPRINT = re.compile(r"[0-9A-F]{40}")
_FIXED = ("--batch", "--no-tty", "--yes", "--no-armor", "--no-textmode", "--status-fd=2")
_STATUS = b"[GNUPG:] "
_MAX_STATUS_BYTES = 256 << 10
#: The lower 16 bits of libgpg-error's codes, in the status lines FAILURE and ERROR.
_CODE = 0xFFFF
_BAD_PASSPHRASE, _NO_SECRET_KEY, _NO_AGENT, _NO_PINENTRY, _CANCELED, _BAD_PIN = 11, 17, 77, 85, 99, 87
_LOCKED = frozenset({_BAD_PASSPHRASE, _NO_PINENTRY, _CANCELED, _BAD_PIN})
#: Fields of `--with-colons` records (GnuPG, doc/DETAILS), from 0.
_FINGERPRINT_FIELD, _TOKEN_FIELD = 9, 14
_STUB_TOKEN, _PRESENT_TOKENS = "#", frozenset({"", "+"})


@dataclass(frozen=True, slots=True)
class _Ran:
    """What a run of gpg returned: its output, its exit status, and the words of its status lines."""

    output: bytes
    status: int
    said: tuple[tuple[str, ...], ...]

    @property
    def error(self) -> int | None:
        """The code of the last failure; None if gpg did not name one."""
        codes = [words[-1] for words in self.said if words[0] in {"FAILURE", "ERROR"} and words[-1].isdigit()]
        return int(codes[-1]) & _CODE if codes else None


class GPGKey:
    """A secret key that gpg holds; see `sealgate.keys.openpgp.signing.OpenPGPSigner`.

    Args:
        fingerprint: of a primary key or subkey, in full; case and blanks do not matter. A primary key signs with its
            newest subkey that can sign, as gpg has it; a subkey signs itself.
        now: the time at which the key must be valid, timezone-aware.
        deadline: when gpg must have returned the public half.
        passphrase: is called when the agent does not have the passphrase.

    Attributes:
        keyring: the public half, as gpg exports it.
        fingerprint: of the primary key or subkey that signs.
        name: "gpg:" and the fingerprint that was given.

    Raises:
        InvalidKeyError: it is not a full fingerprint, gpg does not have the secret key, the certificate is one that
            verification refuses, or the key cannot sign now.
        ConfigError: gpg is not installed, or cannot be started.
        DeadlineError: gpg did not answer in time.
    """

    def __init__(self, fingerprint: str, now: datetime, deadline: Deadline, passphrase: PassphraseSource) -> None:
        wanted = _normalise(fingerprint)
        self.name = f"{PREFIX}{wanted}"
        self._tokens = _secret_keys(wanted, deadline)
        self.keyring: Keyring = load_keyring(_export(wanted, deadline))
        present = {key for key, token in self._tokens.items() if token != _STUB_TOKEN}
        if wanted not in self.keyring.fingerprints:
            present &= {wanted}
        self.fingerprint = choose_signing_key(self.keyring, present, now, self.name).fingerprint
        self._ask = only_once(passphrase)
        self._passphrase: str | None = None
        self._lock = threading.Lock()

    def sign(self, payload: bytes, deadline: Deadline) -> bytes:
        """Return a binary signed message; see `OpenPGPSigner.sign`.

        Raises:
            SigningError: the agent does not have the passphrase, or the card or the key is not there.
            ConfigError: gpg is not installed any more, or cannot be started.
            DeadlineError: gpg did not answer in time.
        """
        with self._lock:
            ran = self._sign(payload, deadline)
            if ran.status != 0 and ran.error in _LOCKED and self._passphrase is None and not self._is_on_card:
                self._passphrase = self._ask()
                if self._passphrase is not None:
                    ran = self._sign(payload, deadline)
        if ran.status != 0 or not ran.output:
            raise SigningError(f"{self.name} did not sign: {self._why(ran)}")
        return ran.output

    @property
    def _is_on_card(self) -> bool:
        return self._tokens.get(self.fingerprint, "") not in _PRESENT_TOKENS

    def _sign(self, payload: bytes, deadline: Deadline) -> _Ran:
        # The mark ! takes this very key; without it, gpg chooses by its own preferences.
        arguments = ["--local-user", f"{self.fingerprint}!", "--sign"]
        return _run(arguments, deadline, payload=payload, limit=MAX_MESSAGE_BYTES, passphrase=self._passphrase)

    def _why(self, ran: _Ran) -> str:
        if self._is_on_card:
            token = quote(self._tokens[self.fingerprint], 64)
            return (
                f"the key is on the card {token}; insert it and unlock it once with "
                f"`gpg --local-user {self.fingerprint} --sign FILE`, then sign again"
            )
        if ran.error == _BAD_PASSPHRASE and self._passphrase is not None:
            return "the passphrase is not the right one"
        if ran.error in _LOCKED:
            return (
                "gpg-agent does not have its passphrase, and it is not asked for here; unlock the key once with "
                f"`gpg --local-user {self.fingerprint} --sign FILE`, or give --passphrase-file"
            )
        if ran.error == _NO_SECRET_KEY:
            return f"the secret half of {self.fingerprint} is missing in {_home()}"
        if ran.error == _NO_AGENT:
            return "gpg-agent is not running and cannot be started; start it with `gpgconf --launch gpg-agent`"
        return (
            f"gpg ended with status {ran.status}, error {ran.error}; try `gpg --local-user {self.fingerprint} --sign`"
        )


def _normalise(text: str) -> str:
    fingerprint = "".join(text.split()).upper()
    if not _FINGERPRINT.fullmatch(fingerprint):
        msg = f"{quote(text)} is not an OpenPGP fingerprint: write all 40 hex digits after {PREFIX}, not a key ID"
        raise InvalidKeyError(msg)
    return fingerprint


def _secret_keys(fingerprint: str, deadline: Deadline) -> dict[str, str]:
    """Return the keys of the certificate that gpg knows a secret of: fingerprint to token.

    A token says where the secret is: "+" on this machine, "#" nowhere, otherwise the number of a card.
    """
    ran = _run(["--with-colons", "--list-secret-keys", fingerprint], deadline, limit=MAX_KEYRING_BYTES)
    found: dict[str, str] = {}
    token: str | None = None
    for line in ran.output.decode(errors="replace").splitlines():
        fields = line.split(":")
        if fields[0] in {"sec", "ssb"}:
            token = fields[_TOKEN_FIELD] if len(fields) > _TOKEN_FIELD else ""
        elif fields[0] == "fpr" and len(fields) > _FINGERPRINT_FIELD and token is not None:
            found[fields[_FINGERPRINT_FIELD].upper()] = token
            token = None
    if fingerprint not in found:
        msg = f"gpg does not have the secret key {fingerprint} in {_home()}; list yours with `gpg -K`"
        raise InvalidKeyError(msg)
    return found


def _export(fingerprint: str, deadline: Deadline) -> bytes:
    ran = _run(["--export", fingerprint], deadline, limit=MAX_KEYRING_BYTES)
    if ran.status != 0 or not ran.output:
        raise InvalidKeyError(f"gpg did not export the public half of {fingerprint}; try `gpg --export {fingerprint}`")
    return ran.output


def _home() -> str:
    return quote(os.environ.get("GNUPGHOME") or "~/.gnupg")


def _run(
    arguments: Sequence[str], deadline: Deadline, *, payload: bytes = b"", limit: int, passphrase: str | None = None
) -> _Ran:
    """Run gpg to its end.

    Args:
        arguments: what it is to do.
        deadline: when it is killed.
        payload: its standard input.
        limit: maximum bytes of its output.
        passphrase: handed over through a pipe; None to do without.
    """
    seconds = deadline.check("waiting for gpg")
    with contextlib.ExitStack() as stack:
        status = stack.enter_context(tempfile.TemporaryFile())
        mode, inherited = ["--pinentry-mode=error"], list[int]()
        if passphrase is not None:
            reader = stack.enter_context(_passphrase_pipe(passphrase))
            mode, inherited = ["--pinentry-mode=loopback", f"--passphrase-fd={reader}"], [reader]
        process = stack.enter_context(_start([*_FIXED, *mode, *arguments], status, inherited))
        timer = threading.Timer(seconds, _kill, (process,))
        timer.start()
        try:
            output = _converse(process, payload, limit)
        finally:
            timer.cancel()
            _kill(process)
        deadline.check("waiting for gpg")
        status.seek(0)
        return _Ran(output, process.wait(), _status_words(status.read(_MAX_STATUS_BYTES)))


def _start(arguments: Sequence[str], status: IO[bytes], inherited: Sequence[int]) -> subprocess.Popen[bytes]:
    program = shutil.which(_PROGRAM)
    if program is None:
        raise ConfigError("gpg is not installed; install it (Debian: gnupg), or sign with a key in a file")
    try:
        return subprocess.Popen(  # noqa: S603 - the user's own gpg, with a checked fingerprint
            [program, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=status,
            env=_environment(os.environ),
            pass_fds=inherited,
            start_new_session=True,
        )
    except OSError as error:
        raise ConfigError(f"gpg cannot be started: {quote(error.strerror, 80)}") from error


def _environment(given: Mapping[str, str]) -> dict[str, str]:
    """Return gpg's environment: this one, without a terminal that an agent could ask on."""
    return {name: value for name, value in given.items() if name != "GPG_TTY"} | {"LC_ALL": "C"}


def _converse(process: subprocess.Popen[bytes], payload: bytes, limit: int) -> bytes:
    with contextlib.suppress(BrokenPipeError), cast("IO[bytes]", process.stdin) as pipe:
        pipe.write(payload)
    output = cast("IO[bytes]", process.stdout).read(limit + 1)
    if len(output) > limit:
        raise SigningError(f"gpg returned more than {limit} bytes")
    process.wait()
    return output


@contextlib.contextmanager
def _passphrase_pipe(passphrase: str) -> Iterator[int]:
    """Yield a descriptor that a passphrase can be read from, so that it is in no argument and in no file."""
    reader, writer = os.pipe()
    try:
        with os.fdopen(writer, "wb") as pipe:
            pipe.write(passphrase.encode() + b"\n")
        yield reader
    finally:
        os.close(reader)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill gpg if it is still running, and what it started; the agent is in a session of its own and stays."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _status_words(text: bytes) -> tuple[tuple[str, ...], ...]:
    lines = [line[len(_STATUS) :] for line in text.splitlines() if line.startswith(_STATUS)]
    return tuple(tuple(line.decode(errors="replace").split()) for line in lines if line.strip())
