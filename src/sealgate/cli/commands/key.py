"""`sealgate key`: inspect public keys before they are used in a policy, and make key pairs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from sealgate.cli.commands.key_generate import generate
from sealgate.cli.exits import Exit
from sealgate.cli.help import examples
from sealgate.cli.inputs import files, options
from sealgate.cli.outputs import console
from sealgate.clocks import SystemClock
from sealgate.errors import ConfigError, InvalidKeyError
from sealgate.keys.openpgp.keyring import load_keyring
from sealgate.keys.public_keys import allowed_algorithms, load_public_key
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

_PGP = b"BEGIN PGP PUBLIC KEY BLOCK"
#: The highest bit of the first octet is set in every binary OpenPGP packet (RFC 9580, section 4.2).
_PACKET_MARK = 0x80
#: Larger than any public key or keyring; a larger file is the wrong file.
MAX_KEY_BYTES = 1 << 20


@click.group()
def key() -> None:
    """Inspect public keys, and make key pairs."""


@key.command(
    epilog=examples(
        "sealgate key show release.pub",
        "cosign public-key --key cosign.key | sealgate key show -",
        "sealgate key show --output json release.pub",
    )
)
@click.argument("paths", metavar="FILE...", nargs=-1, required=True)
@options.output_option
def show(paths: tuple[str, ...], output: str) -> Exit:
    """Show type, size, fingerprint and allowed algorithms of public keys.

    FILE is a public key in PEM (-----BEGIN PUBLIC KEY-----), or - for standard input. The fingerprint is the same as in
    verdicts: SHA-256 of the DER SubjectPublicKeyInfo. The default algorithm is used if a policy does not set one.

    FILE may also be an OpenPGP keyring, as gpg --export writes it. Every signing key in it is shown with its state,
    which says whether verification accepts it now.

    Exit codes: 0 every file has a usable key, 2 at least one file has not.
    """
    shown: list[dict[str, Any]] = []
    wrong: list[str] = []
    for path in paths:
        try:
            shown += _describe(path, SystemClock().now())
        except (ConfigError, InvalidKeyError) as error:
            wrong.append(error.message if isinstance(error, ConfigError) else f"{files.name_of(path)}: {error.message}")
    if output == "json":
        click.echo(json.dumps(shown, indent=2))
    elif shown:
        _print(shown)
    for message in wrong:
        click.echo(f"Error: {message}", err=True)
    return Exit.WRONG_INPUT if wrong else Exit.ADMITTED


key.add_command(generate)


def _describe(path: str, now: datetime) -> list[dict[str, Any]]:
    content = files.read_bytes(path, MAX_KEY_BYTES)
    if _PGP in content or (content and content[0] & _PACKET_MARK):
        return _describe_keyring(path, content, now)
    loaded = load_public_key(content)
    return [
        {
            "file": path,
            "type": loaded.kind.split()[0],
            "size": _size(loaded.kind),
            "fingerprint": loaded.fingerprint,
            "defaultAlgorithm": loaded.algorithm.value,
            "algorithms": [algorithm.value for algorithm in allowed_algorithms(content)],
        }
    ]


def _describe_keyring(path: str, content: bytes, now: datetime) -> list[dict[str, Any]]:
    states = load_keyring(content).states(now)
    if not any(state.reason is Reason.VERIFIED for state in states):
        raise InvalidKeyError("; ".join(state.message for state in states))
    return [
        {
            "file": path,
            "type": "OpenPGP",
            "kind": state.kind,
            "fingerprint": state.fingerprint,
            "primaryFingerprint": state.primary_fingerprint,
            "usable": state.reason is Reason.VERIFIED,
            "message": state.message,
            "expires": None if state.expires is None else state.expires.isoformat(),
        }
        for state in states
    ]


def _size(kind: str) -> int:
    """Return the size in bits of a key, from its kind ("ECDSA P-256", "RSA 3072", "Ed25519")."""
    _, _, size = kind.partition(" ")
    return int(size.removeprefix("P-")) if size else 256


def _print(keys: Sequence[dict[str, Any]]) -> None:
    out = console.output()
    for entry in keys:
        table = Table.grid(padding=(0, 2))
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
        table.add_row("file", console.plain(entry["file"]))
        for title, text in _rows(entry).items():
            table.add_row(title, console.plain(text))
        out.print(table)
        if entry is not keys[-1]:
            out.print()


def _rows(entry: dict[str, Any]) -> dict[str, str]:
    if entry["type"] == "OpenPGP":
        return {
            "type": f"OpenPGP, {entry['kind']}",
            "fingerprint": entry["fingerprint"],
            "primary key": entry["primaryFingerprint"],
            "state": entry["message"],
            "expires": entry["expires"] or "never",
        }
    return {
        "type": f"{entry['type']}, {entry['size']} bits",
        "fingerprint": entry["fingerprint"],
        "default algorithm": entry["defaultAlgorithm"],
        "allowed algorithms": ", ".join(entry["algorithms"]),
    }
