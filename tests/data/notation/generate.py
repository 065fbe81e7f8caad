"""Record signatures of the Notary Project's own libraries, and what these say about signatures of sealgate.

    python -m tests.data.notation.generate

Run it from the root of the checkout; it needs Go and its module proxy. `reference/main.go` signs and verifies with
notation-core-go and notation-go. Private keys are thrown away. The certificates are valid for a hundred years, so that
the recordings do not expire. It writes

recorded.json     an image's manifest; of each key, scheme and kind of envelope the certificates and the envelope
verdicts.json     what notation-go says about sealgate's envelopes, as they are and with one changed byte
"""

from __future__ import annotations

import json
import subprocess
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tests.support.signers.notation import KEY_KINDS, Authority
from tests.support.simulators.http_messages import encode
from tests.support.simulators.registry import digest_of

from sealgate.clocks import Deadline, SystemClock
from sealgate.formats.notation.sign import EnvelopeType, build_envelope
from sealgate.formats.notation.signatures import signer_key
from sealgate.formats.notation.wire.envelope import COSE_TYPE, JWS_TYPE, build_payload
from sealgate.keys.private_keys import load_private_key

HERE = Path(__file__).parent
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
SCHEMES = ("notary.x509", "notary.x509.signingAuthority")
IDENTITY = "x509.subject: C=US, ST=WA, O=acme, CN=release"
IMAGE = encode(
    {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": digest_of(b"{}"),
            "size": 2,
        },
        "layers": [],
    }
)


def main() -> None:
    """Write recordings and verdicts."""
    begins = datetime(2026, 1, 1, tzinfo=UTC)
    authority = Authority("root", begins, timedelta(days=36500))
    payload = build_payload(OCI_MANIFEST, digest_of(IMAGE), len(IMAGE), {"env": "prod"})
    jobs, names, made = [], [], {}
    verifications: list[dict[str, Any]] = []
    for kind in KEY_KINDS:
        key, chain = authority.issue(kind)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        text = "".join(each.public_bytes(Encoding.PEM).decode() for each in chain)
        common = {"Chain": text, "Digest": digest_of(IMAGE), "Size": len(IMAGE), "Identity": IDENTITY}
        for media_type in (JWS_TYPE, COSE_TYPE):
            for scheme in SCHEMES:
                expiry = 4000000000 if kind == "P-256" else 0
                sign = {**common, "MediaType": media_type, "Scheme": scheme, "Key": pem, "Expiry": expiry}
                jobs.append({**sign, "Payload": b64encode(payload).decode()})
                names.append({"key": kind, "scheme": scheme, "mediaType": media_type, "chain": text})
            signing = load_private_key(pem.encode(), "a key", lambda: b"", signer_key(chain[0]).algorithm)
            clock = SystemClock()
            envelope = build_envelope(
                EnvelopeType(media_type), signing, chain, payload, clock.now(), Deadline.after(clock, 60)
            )
            made[f"{kind} {media_type}"] = envelope
            for data in (envelope, changed(envelope)):
                verify = {**common, "MediaType": media_type, "Scheme": SCHEMES[0]}
                verifications.append({**verify, "Envelope": b64encode(data).decode()})
    signed, judged = run(jobs), run(verifications)
    recordings = [{**name, "envelope": done["Envelope"]} for name, done in zip(names, signed, strict=True)]
    write("recorded.json", {"image": IMAGE.decode(), "envelopes": recordings})
    verdicts = {
        name: {
            "envelope": b64encode(envelope).decode(),
            "unchanged": judged[2 * number].get("Error", ""),
            "one changed byte": judged[2 * number + 1].get("Error", ""),
        }
        for number, (name, envelope) in enumerate(made.items())
    }
    write("verdicts.json", {"by": "notation-go 1.3.2", "verdicts": verdicts})


def changed(envelope: bytes) -> bytes:
    """Return an envelope with one changed byte in its payload: JWS has it in base64, COSE as it is."""
    marks = (b'"payload":"eyJ', b'"env":"prod"')
    mark = next(mark for mark in marks if mark in envelope)
    at = envelope.index(mark) + len(mark) + (150 if mark == marks[0] else -2)
    return envelope[:at] + (b"A" if envelope[at : at + 1] != b"A" else b"B") + envelope[at + 1 :]


def run(jobs: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Return what the reference program says to some jobs."""
    done = subprocess.run(
        ["go", "run", "."], cwd=HERE / "reference", input=json.dumps(jobs).encode(), capture_output=True, check=True
    )
    results: list[dict[str, str]] = json.loads(done.stdout)
    return results


def write(name: str, document: object) -> None:
    """Write a file of this folder."""
    (HERE / name).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
