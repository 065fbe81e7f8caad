"""Records `transit.json`: requests to Vault's own transit engine, with its responses.

The engine is built from Vault's Go modules, 1.21.4, beside `transit.go`:

    go mod init transit
    go get github.com/hashicorp/vault@v1.21.4 github.com/hashicorp/vault/sdk@v0.25.1
    go mod tidy && go build -o transit .
    python -m tests.data.vault.record ./transit
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from base64 import b64encode
from pathlib import Path
from typing import Any

RECORDING = Path(__file__).with_name("transit.json")
MESSAGE = b'{"critical": "an image"}'
KINDS = ("ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "ed25519", "rsa-2048", "rsa-3072", "aes256-gcm96")
ECDSA = [
    (f"ECDSA_SHA_{bits}", {"hash_algorithm": f"sha2-{bits}", "marshaling_algorithm": "asn1"})
    for bits in (256, 384, 512)
]
RSA = [
    (f"RSA_{name}_SHA_{bits}", {"hash_algorithm": f"sha2-{bits}", "signature_algorithm": scheme, **more})
    for name, scheme, more in (("PKCS1", "pkcs1v15", {}), ("PSS", "pss", {"salt_length": "hash"}))
    for bits in (224, 256, 384, 512)
]


def requests() -> list[dict[str, Any]]:
    """Return the requests in order; those that sign name the algorithm in sealgate's words."""
    asked: list[dict[str, Any]] = []

    def ask(operation: str, path: str, data: dict[str, Any] | None = None, **more: Any) -> None:
        asked.append({"operation": operation, "path": path, "data": data or {}, **more})

    for kind in KINDS:
        ask("update", f"keys/{kind}", {"type": kind})
        ask("read", f"keys/{kind}")
    ask("update", "keys/derived", {"type": "ed25519", "derived": True})
    ask("read", "keys/derived")
    ask("update", "keys/rotated", {"type": "ecdsa-p256"})
    for _ in range(2):
        ask("update", "keys/rotated/rotate")
    ask("update", "keys/rotated/config", {"min_decryption_version": 2})
    ask("read", "keys/rotated")
    ask("read", "keys/missing")
    for key, algorithms in (("ecdsa-p256", ECDSA), ("ecdsa-p384", ECDSA), ("rsa-2048", RSA)):
        for algorithm, words in algorithms:
            digest = hashlib.new(f"sha{algorithm[-3:]}", MESSAGE).digest()
            data = {"input": b64encode(digest).decode(), "prehashed": True, "key_version": 1, **words}
            ask("update", f"sign/{key}", data, algorithm=algorithm)
    archived = {"input": b64encode(hashlib.sha256(MESSAGE).digest()).decode(), "prehashed": True, "key_version": 1}
    ask("update", "sign/rotated", archived)
    return asked


def main() -> None:
    """Write the recording."""
    asked = requests()
    lines = "".join(json.dumps({name: each[name] for name in ("operation", "path", "data")}) + "\n" for each in asked)
    done = subprocess.run([sys.argv[1]], input=lines, capture_output=True, text=True, check=True)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    recorded = [{**each, "response": answer} for each, answer in zip(asked, answers, strict=True)]
    RECORDING.write_text(json.dumps(recorded, indent=1) + "\n")


if __name__ == "__main__":
    main()
