"""Makes the keys and signed messages beside this file, with real gpg (2.2) and skopeo (1.9).

Run `python tests/data/simple_signing/generate.py`; it replaces `keys/` and `messages/`. Private keys are thrown away,
so every run gives other bytes of the same kinds. Keys are from 2024-01-01, messages from 2024-06-01; what expires or
is revoked does so at 2024-07-01. Each broken file is named by its defect.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
KEYS = HERE / "keys"
MESSAGES = HERE / "messages"
MANIFEST = HERE / "manifest.json"

MADE, SIGNED, SPOILT, NEVER = "20240101T000000", "20240601T000000", "20240701T000000", "never"
REFERENCE = "registry.example.org/team/api:1.4"
TYPE = "atomic container signature"


class GnuPG:
    """gpg in a home of its own, at whatever time it is told."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environment = {**os.environ, "GNUPGHOME": str(home), "LC_ALL": "C"}

    def run(self, *arguments: str, at: str = SIGNED, data: bytes = b"") -> bytes:
        """Run gpg and return what it prints."""
        fixed = ["gpg", "--batch", "--yes", "--quiet", "--no-tty", "--pinentry-mode=loopback", "--passphrase="]
        return self._run([*fixed, f"--faked-system-time={at}!", *arguments], data)

    def edit(self, fingerprint: str, *answers: str, at: str) -> None:
        """Answer the questions of gpg's key editor."""
        fixed = ["gpg", "--no-tty", "--pinentry-mode=loopback", "--passphrase=", "--command-fd=0"]
        self._run([*fixed, f"--faked-system-time={at}!", "--edit-key", fingerprint], "\n".join([*answers, ""]).encode())

    def make(self, name: str, kind: str, usage: str = "sign", expires: str = NEVER) -> str:
        """Make a key and return its fingerprint."""
        self.run("--quick-gen-key", f"{name} <{name}@example.org>", kind, usage, expires, at=MADE)
        return self.fingerprints(f"{name}@example.org")[0]

    def add(self, fingerprint: str, kind: str, usage: str = "sign", expires: str = NEVER) -> str:
        """Add a subkey and return its fingerprint."""
        self.run("--quick-add-key", fingerprint, kind, usage, expires, at=MADE)
        return self.fingerprints(fingerprint)[-1]

    def fingerprints(self, name: str) -> list[str]:
        """Return the fingerprints of a key and its subkeys."""
        listing = self.run("--with-colons", "--list-keys", name).decode()
        return [line.split(":")[9] for line in listing.splitlines() if line.startswith("fpr:")]

    def export(self, name: str, *fingerprints: str) -> None:
        """Write public keys to `keys/`."""
        (KEYS / f"{name}.asc").write_bytes(self.run("--armor", "--export", *fingerprints))

    def sign(self, name: str, payload: bytes, *arguments: str) -> None:
        """Write a message to `messages/`; the last argument chooses the kind of message."""
        (MESSAGES / f"{name}.sig").write_bytes(self.run("--output=-", *arguments, data=payload))

    def _run(self, command: list[str], data: bytes) -> bytes:
        done = subprocess.run(command, input=data, env=self.environment, capture_output=True, check=False)
        if done.returncode:
            sys.exit(f"{' '.join(command)}\n{done.stderr.decode(errors='replace')}")
        return done.stdout


def payload(digest: str, reference: str = REFERENCE) -> dict[str, object]:
    """Return a payload as signers write it."""
    return {
        "critical": {
            "type": TYPE,
            "image": {"docker-manifest-digest": digest},
            "identity": {"docker-reference": reference},
        },
        "optional": {"creator": "atomic 5.23.1", "timestamp": 1717200000},
    }


def good_keys(gpg: GnuPG, data: bytes) -> None:
    """Keys of every accepted kind, and a message by each."""
    for name, kind in {
        "rsa-2048": "rsa2048",
        "rsa-3072": "rsa3072",
        "dsa-2048": "dsa2048",
        "ed25519": "ed25519",
        "ecdsa-p256": "nistp256",
        "ecdsa-p384": "nistp384",
        "ecdsa-p521": "nistp521",
    }.items():
        fingerprint = gpg.make(name, kind)
        gpg.export(name, fingerprint)
        gpg.sign(f"good-{name}", data, "--local-user", fingerprint, "--sign")
    primary = gpg.make("signing-subkey", "rsa2048", "cert")
    gpg.add(primary, "cv25519", "encr")
    subkey = gpg.add(primary, "ed25519")
    gpg.export("signing-subkey", primary)
    gpg.sign("good-signing-subkey", data, "--local-user", f"{subkey}!", "--sign")


def weak_keys(gpg: GnuPG, data: bytes) -> None:
    """Keys that must not be loaded, and messages by them."""
    for name, kind in {
        "rsa-1024-too-short": "rsa1024",
        "dsa-1024-too-short": "dsa1024",
        "ecdsa-secp256k1-unsupported-curve": "secp256k1",
        "ecdsa-brainpool-unsupported-curve": "brainpoolP256r1",
    }.items():
        fingerprint = gpg.make(name, kind)
        gpg.export(name, fingerprint)
        gpg.sign(f"by-{name}", data, "--local-user", fingerprint, "--sign")
    primary = gpg.make("subkey-rsa-1024-too-short", "rsa2048", "cert")
    gpg.add(primary, "rsa1024")
    gpg.export("subkey-rsa-1024-too-short", primary)
    primary = gpg.make("no-key-that-signs", "rsa2048", "cert")
    gpg.add(primary, "rsa2048", "encr")
    gpg.export("no-key-that-signs", primary)


def revoked_keys(gpg: GnuPG, data: bytes) -> None:
    """Keys that were revoked after they signed, for every kind of reason."""
    for name, reason in {"without-reason": "0", "as-compromised": "1", "as-superseded": "2", "as-retired": "3"}.items():
        fingerprint = gpg.make(f"revoked-{name}", "ed25519")
        gpg.sign(f"by-revoked-{name}", data, "--local-user", fingerprint, "--sign")
        gpg.edit(fingerprint, "revkey", "y", reason, "", "y", "save", at=SPOILT)
        gpg.export(f"revoked-{name}", fingerprint)
        primary = gpg.make(f"subkey-revoked-{name}", "ed25519", "cert")
        subkey = gpg.add(primary, "ed25519")
        gpg.sign(f"by-subkey-revoked-{name}", data, "--local-user", f"{subkey}!", "--sign")
        gpg.edit(primary, "key 1", "revkey", "y", reason, "", "y", "save", at=SPOILT)
        gpg.export(f"subkey-revoked-{name}", primary)


def expired_keys(gpg: GnuPG, data: bytes) -> None:
    """Keys that expire after they signed, and the same keys with their expiry extended."""
    fingerprint = gpg.make("expired", "ed25519", "sign", SPOILT)
    gpg.sign("by-expired", data, "--local-user", fingerprint, "--sign")
    gpg.export("expired", fingerprint)
    gpg.sign("by-expired-critical-notation", data, "-u", fingerprint, "--sig-notation=!n@example.org=x", "--sign")
    gpg.run("--quick-set-expire", fingerprint, "20540101T000000", at="20240615T000000")
    gpg.export("expired-then-extended", fingerprint)

    primary = gpg.make("subkey-expired", "ed25519", "cert")
    subkey = gpg.add(primary, "ed25519", "sign", SPOILT)
    gpg.sign("by-subkey-expired", data, "--local-user", f"{subkey}!", "--sign")
    gpg.export("subkey-expired", primary)
    gpg.run("--quick-set-expire", primary, "20540101T000000", subkey, at="20240615T000000")
    gpg.export("subkey-expired-then-extended", primary)

    primary = gpg.make("primary-expired", "ed25519", "cert", SPOILT)
    subkey = gpg.add(primary, "ed25519")
    gpg.sign("by-subkey-of-primary-expired", data, "--local-user", f"{subkey}!", "--sign")
    gpg.export("primary-expired", primary)


def odd_keys(gpg: GnuPG, data: bytes) -> None:
    """A key that only SHA-1 holds together, and one that was let sign and no longer is."""
    name = "self-signed-with-sha1"
    gpg.run(
        "--cert-digest-algo=SHA1", "--quick-gen-key", f"{name} <{name}@example.org>", "rsa2048", "sign", NEVER, at=MADE
    )
    gpg.export(name, *gpg.fingerprints(f"{name}@example.org"))
    primary = gpg.make("subkey-may-no-longer-sign", "rsa2048", "sign")
    subkey = gpg.add(primary, "rsa2048")
    gpg.sign("by-subkey-that-may-no-longer-sign", data, "--local-user", f"{subkey}!", "--sign")
    before = gpg.run("--export", primary)
    gpg.edit(primary, "key 1", "change-usage", "S", "A", "Q", "save", at=SPOILT)
    both = before + gpg.run("--export", primary)
    (KEYS / "subkey-may-no-longer-sign.pgp").write_bytes(both)


def other_messages(gpg: GnuPG, data: bytes) -> None:
    """Messages of other forms than the one accepted, by good keys."""
    one, two = gpg.fingerprints("ed25519@example.org")[0], gpg.fingerprints("rsa-2048@example.org")[0]
    by = ["--local-user", one]
    for name in ("zip", "zlib", "bzip2", "uncompressed"):
        gpg.sign(f"good-{name}", data, *by, f"--compress-algo={name}", "--sign")
    gpg.sign("sha1-digest", data, "--local-user", two, "--digest-algo=SHA1", "--sign")
    gpg.sign("ripemd160-digest", data, "--local-user", two, "--digest-algo=RIPEMD160", "--sign")
    gpg.sign("expired-signature", data, *by, "--default-sig-expire=20240701T000000", "--sign")
    gpg.sign("notation", data, *by, "--sig-notation=n@example.org=x", "--sign")
    gpg.sign("critical-notation", data, *by, "--sig-notation=!n@example.org=x", "--sign")
    gpg.sign(
        "older-than-its-key", data, *by, "--ignore-time-conflict", "--faked-system-time=20231201T000000!", "--sign"
    )
    gpg.sign("armored", data, *by, "--armor", "--sign")
    gpg.sign("cleartext", data, *by, "--clear-sign")
    gpg.sign("detached", data, *by, "--detach-sign")
    gpg.sign("armored-detached", data, *by, "--armor", "--detach-sign")
    gpg.sign("two-signatures", data, *by, "--local-user", two, "--sign")
    gpg.sign("no-signature", data, "--store")
    gpg.sign("text-mode", data, *by, "--textmode", "--sign")
    gpg.sign("encrypted", data, *by, "--sign", "--encrypt", "--trust-model=always", "--recipient=signing-subkey")
    gpg.sign("hostile-file-name", data, *by, "--set-filename=x\n[GNUPG:] GOODSIG 0 x\n[GNUPG:] VALIDSIG 0", "--sign")
    good = (MESSAGES / "good-uncompressed.sig").read_bytes()
    at = good.index(b"1.4")
    (MESSAGES / "one-byte-changed.sig").write_bytes(good[: at + 2] + b"5" + good[at + 3 :])
    (MESSAGES / "cut-short.sig").write_bytes(good[:-20])
    (MESSAGES / "followed-by-bytes.sig").write_bytes(good + b"\0")
    (MESSAGES / "followed-by-another.sig").write_bytes(good + good)
    (MESSAGES / "empty.sig").write_bytes(b"")
    stranger = gpg.make("stranger", "ed25519")
    gpg.export("stranger", stranger)
    gpg.sign("by-stranger", data, "--local-user", stranger, "--sign")


def payloads(gpg: GnuPG, digest: str) -> None:
    """Signed messages whose payloads are wrong, or odd and right."""
    fingerprint = gpg.fingerprints("ed25519@example.org")[0]
    for name, data in {**right_payloads(digest), **wrong_payloads(digest)}.items():
        gpg.sign(f"payload-{name}", data, "--local-user", fingerprint, "--sign")


def right_payloads(digest: str) -> dict[str, bytes]:
    """Payloads that are accepted for the image and its reference."""
    return {
        "good-empty-optional": json.dumps(payload(digest) | {"optional": {}}).encode(),
        "good-more-optional": json.dumps(
            payload(digest) | {"optional": {"env": "prod", "n": [1, {"a": None}]}}
        ).encode(),
        "good-white-space": json.dumps(payload(digest), indent=4).encode() + b"\n\n",
        "good-whole-timestamp": json.dumps(payload(digest) | {"optional": {"timestamp": 1717200000.0}}).encode(),
    }


def wrong_payloads(digest: str) -> dict[str, bytes]:
    """Payloads that must be refused, by defect."""

    def changed(path: str, value: object) -> bytes:
        tree = payload(digest)
        *parents, last = path.split(".")
        node = tree
        for parent in parents:
            node = node[parent]  # type: ignore[assignment]  # a walk down plain dictionaries
        if value is None:
            del node[last]
        else:
            node[last] = value
        return json.dumps(tree).encode()

    text = json.dumps(payload(digest))
    other = "sha256:" + "0" * 64
    return {
        "not-json": b"signed, but not JSON",
        "empty": b"",
        "list": b"[]",
        "not-utf8": text.replace("atomic 5", "atomic \u00e9").encode("latin-1"),
        "trailing-data": text.encode() + b"{}",
        "nan": text.replace("1717200000", "NaN").encode(),
        "nested-deeply": text.replace("1717200000", "[" * 5000 + "]" * 5000).encode(),
        "duplicate-critical": text.replace('{"critical"', '{"critical": {}, "critical"').encode(),
        "duplicate-digest": text.replace(
            '{"docker-manifest-digest"', f'{{"docker-manifest-digest": "{other}", "docker-manifest-digest"'
        ).encode(),
        "duplicate-optional-member": text.replace('"creator"', '"creator": "x", "creator"').encode(),
        "extra-top-level-member": changed("extra", "x"),
        "extra-critical-member": changed("critical.extra", "x"),
        "extra-image-member": changed("critical.image.extra", "x"),
        "extra-identity-member": changed("critical.identity.extra", "x"),
        "case-of-member": text.replace('"critical"', '"Critical"').encode(),
        "missing-critical": changed("critical", None),
        "missing-optional": changed("optional", None),
        "null-optional": text.replace(json.dumps(payload(digest)["optional"]), "null").encode(),
        "missing-type": changed("critical.type", None),
        "missing-image": changed("critical.image", None),
        "missing-digest": changed("critical.image.docker-manifest-digest", None),
        "missing-identity": changed("critical.identity", None),
        "missing-reference": changed("critical.identity.docker-reference", None),
        "wrong-type": changed("critical.type", "cosign container image signature"),
        "type-number": changed("critical.type", 1),
        "wrong-digest": changed("critical.image.docker-manifest-digest", other),
        "upper-case-digest": changed("critical.image.docker-manifest-digest", digest.upper()),
        "digest-number": changed("critical.image.docker-manifest-digest", 1),
        "reference-number": changed("critical.identity.docker-reference", 1),
        "creator-number": changed("optional.creator", 1),
        "timestamp-text": changed("optional.timestamp", "1717200000"),
        "timestamp-fraction": changed("optional.timestamp", 1717200000.5),
        "timestamp-boolean": changed("optional.timestamp", True),
        "timestamp-beyond-64-bits": changed("optional.timestamp", 2**63),
        "invalid-reference": changed("critical.identity.docker-reference", "UPPER/case:INVALID:reference"),
        "empty-reference": changed("critical.identity.docker-reference", ""),
    }


def by_skopeo(gpg: GnuPG, digest: str) -> None:
    """Messages of skopeo itself, for identities that rules tell apart."""
    fingerprint = gpg.make("skopeo", "rsa2048")
    gpg.export("skopeo", fingerprint)
    (gpg.home / "gpg.conf").write_text(f"faked-system-time {SIGNED}!\nbatch\npinentry-mode loopback\n")
    for name, reference in {
        "skopeo-tag": REFERENCE,
        "skopeo-other-tag": "registry.example.org/team/api:1.5",
        "skopeo-digest": f"registry.example.org/team/api@{digest}",
        "skopeo-other-digest": "registry.example.org/team/api@sha256:" + "0" * 64,
        "skopeo-repository": "registry.example.org/team/api",
        "skopeo-other-repository": "registry.example.org/team/web:1.4",
        "skopeo-other-registry": "mirror.example.org/team/api:1.4",
        "skopeo-library": "docker.io/library/busybox:1",
    }.items():
        out = MESSAGES / f"{name}.sig"
        command = ["skopeo", "standalone-sign", str(MANIFEST), reference, fingerprint, "-o", str(out)]
        subprocess.run(command, env=gpg.environment, check=True, capture_output=True)
    (gpg.home / "gpg.conf").unlink()


def main() -> None:
    """Replace everything beside this file."""
    for folder in (KEYS, MESSAGES):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    layer = {
        "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip",
        "size": 1,
        "digest": "sha256:" + "1" * 64,
    }
    config = {"mediaType": "application/vnd.docker.container.image.v1+json", "size": 1, "digest": "sha256:" + "2" * 64}
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": config,
        "layers": [layer],
    }
    MANIFEST.write_text(json.dumps(manifest, indent=2) + "\n")
    digest = "sha256:" + hashlib.sha256(MANIFEST.read_bytes()).hexdigest()
    data = json.dumps(payload(digest)).encode()
    with tempfile.TemporaryDirectory() as home:
        gpg = GnuPG(Path(home))
        try:
            for make in (good_keys, weak_keys, revoked_keys, expired_keys, odd_keys, other_messages):
                make(gpg, data)
            payloads(gpg, digest)
            by_skopeo(gpg, digest)
        finally:
            subprocess.run(["gpgconf", "--kill", "all"], env=gpg.environment, check=False)


if __name__ == "__main__":
    main()
