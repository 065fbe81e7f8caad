"""Sign an image with sealgate as Oracle does, and record what Oracle's own tool and openssl say about the records.

    python -m tests.data.oracle.signed_by_sealgate.generate [FOLDER]

Run it from the root of the checkout. Registry and vault are simulators; `oci` itself lists the records and has the
vault verify them. The private key is thrown away. Into this folder, or the given one, it writes

recorded.json     of each algorithm the public key, and the record as the registry has it
verdicts.json     of each algorithm what the tools say about the record as it is stored and with one changed byte
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from base64 import b64decode
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.changes import change_base64
from tests.support.real_tools.oci_cli import Oracle, oracle_tools
from tests.support.real_tools.openssl import verification
from tests.support.real_tools.verdicts import Judge, Verdict, write_verdicts

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parent
ALGORITHMS = tuple(f"RSA_PSS_SHA_{bits}" for bits in (224, 256, 384, 512))
TEXT = {"description": 'Für "UAT"', "metadata": '{"buildnumber":"8447"}'}
#: What is changed for the tools.
CHANGES: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "digest in the message": lambda record: {"message": change_base64(record["message"], '"imageDigest":"sha256:')},
    "metadata in the message": lambda record: {"message": change_base64(record["message"], "buildnumber")},
    "signature": lambda record: {"signature": change_base64(record["signature"])},
}


def main(target: Path = HERE) -> None:
    """Write records and verdicts into a folder."""
    recorded, verdicts = {}, {}
    for algorithm in ALGORITHMS:
        with tempfile.TemporaryDirectory() as folder, oracle_tools(Path(folder)) as oracle:
            oracle.sealgate_signs(algorithm, **TEXT)
            (record,) = oracle.registry.records
            recorded[algorithm] = {"pem": oracle.public_pem, "record": dict(record)}
            verdicts[algorithm] = {"verdicts": judge(oracle, recorded[algorithm], algorithm, Path(folder))}
    (target / "recorded.json").write_text(json.dumps(recorded, indent=1) + "\n")
    write_verdicts(target / "verdicts.json", verdicts)


def judge(oracle: Oracle, recording: dict[str, Any], algorithm: str, folder: Path) -> dict[str, list[Verdict]]:
    """Return what the tools say about the one record that the registry has."""
    (record,) = oracle.registry.records
    good, verdicts = dict(record), {}
    for place, change in {"unchanged": lambda _: {}, **CHANGES}.items():
        record |= {**good, **change(good)}
        verdicts[place] = [oracle.judge(), ask_openssl(recording["pem"], record, algorithm, folder)]
    return verdicts


def ask_openssl(pem: str, record: dict[str, Any], algorithm: str, folder: Path) -> Verdict:
    """Return what openssl says about a record."""
    (folder / "key.pem").write_text(pem)
    for member in ("message", "signature"):
        (folder / member).write_bytes(b64decode(record[member]))
    version = subprocess.run(["openssl", "version"], capture_output=True, text=True, check=True).stdout.split()[1]
    return Judge(f"openssl {version}", folder, {}, {}).verdict("openssl", *verification(algorithm))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
