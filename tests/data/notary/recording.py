"""Recording: the real CLI signs, the real server serves, and this writes down what it serves."""

from __future__ import annotations

import base64
import json
import os
import re
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import trustme
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from tests.support.real_tools.ports import port_of, reserve_port
from tests.support.signers.notary import Signer, certified, load_signer
from tests.support.signers.private_keys import PrivateKey
from tests.support.simulators.notary import file_hashes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

HERE = Path(__file__).parent
PASSPHRASE = "correct horse"
#: Seconds after which a server or a command is called hung; nothing that works takes any of it.
PATIENCE = 100.0
RELEASES = "targets/releases"
ADMIN = "targets/admin"
TAG = "1.4"
GUN = "dtr.example.org/dev/nginx"
VERIFIED = "Verified"
Fixture = dict[str, Any]


class Notary:
    """A notary server with its store in memory, and the CLI in front of it.

    Args:
        folder: for everything that they write.
        auth: the server's `auth`; the CLI then logs in as robot.
        host: where it listens.
        name: to serve HTTPS under, with a certificate of an authority of its own (`ca_pem`); empty for plain HTTP.
    """

    def __init__(
        self, folder: Path, auth: Mapping[str, Any] | None = None, host: str = "127.0.0.1", name: str = ""
    ) -> None:
        """Set up, without starting."""
        self.folder = folder
        self.auth = auth
        self.ca_pem = ""
        self._tls: dict[str, str] = {}
        self._trust: ssl.SSLContext | None = None
        if name:
            self._certify(name)
        self._reservation = reserve_port(host)
        port = port_of(self._reservation)
        self.address = f"{host}:{port}"
        self.url = f"https://{name}:{port}" if name else f"http://{self.address}"

    def __enter__(self) -> Self:
        """Start the server and wait until it answers."""
        config: dict[str, Any] = {
            "server": {"http_addr": self.address, **self._tls},
            "trust_service": {"type": "local", "hostname": "", "port": "", "key_algorithm": "ecdsa"},
            "logging": {"level": "error"},
            "storage": {"backend": "memory"},
        }
        if self.auth is not None:
            config["auth"] = self.auth
        path = self.folder / "server.json"
        path.write_text(json.dumps(config))
        self.server = subprocess.Popen(["notary-server", "-config", str(path)], stderr=subprocess.DEVNULL)
        end = time.monotonic() + PATIENCE
        while not self._answers():
            if self.server.poll() is not None or time.monotonic() > end:
                self.__exit__()
                msg = "notary-server does not start"
                raise RuntimeError(msg)
            time.sleep(0.05)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the server."""
        self.server.terminate()
        self.server.wait()
        self._reservation.close()

    def _answers(self) -> bool:
        try:
            self._open("/_notary_server/health").close()
        except urllib.error.HTTPError as error:
            error.close()
            return False
        except OSError:
            return False
        return True

    def run(self, *arguments: str, answers: str = "") -> str:
        """Run the CLI."""
        roles = ("ROOT", "TARGETS", "SNAPSHOT", "DELEGATION")
        environment = os.environ | {f"NOTARY_{role}_PASSPHRASE": PASSPHRASE for role in roles}
        environment["NOTARY_AUTH"] = base64.b64encode(b"robot:s3cret").decode()
        command = ["notary", "-s", self.url, "-d", str(self.folder / "trust"), *self._ca(), *arguments]
        done = subprocess.run(
            command, env=environment, input=answers, text=True, check=True, capture_output=True, timeout=PATIENCE
        )
        return done.stdout

    def files(self, gun: str) -> dict[str, bytes]:
        """Return everything the server has of a repository."""
        files = {}
        for role in ("root", "timestamp", "snapshot", "targets"):
            files[role] = self.get(gun, role)
        for role in json.loads(files["snapshot"])["signed"]["meta"]:
            files[role] = self.get(gun, role)
        for version in range(1, json.loads(files["root"])["signed"]["version"] + 1):
            files[f"{version}.root"] = self.get(gun, f"{version}.root")
        return files

    def get(self, gun: str, name: str) -> bytes:
        """Return one file."""
        with self._open(f"/v2/{gun}/_trust/tuf/{name}.json") as response:
            data: bytes = response.read()
        return data

    def _open(self, path: str) -> Any:
        return urllib.request.urlopen(self.url + path, context=self._trust)  # noqa: S310 - our own server

    def _certify(self, name: str) -> None:
        authority = trustme.CA()
        self.ca_pem = authority.cert_pem.bytes().decode()
        self._trust = ssl.create_default_context(cadata=self.ca_pem)
        authority.cert_pem.write_to_path(self.folder / "ca.pem")
        certificate = authority.issue_cert(name)
        certificate.private_key_pem.write_to_path(self.folder / "server.key")
        certificate.cert_chain_pems[0].write_to_path(self.folder / "server.crt")
        files = {"tls_cert_file": "server.crt", "tls_key_file": "server.key"}
        self._tls = {option: str(self.folder / file) for option, file in files.items()}

    def _ca(self) -> tuple[str, ...]:
        return ("--tlscacert", str(self.folder / "ca.pem")) if self.ca_pem else ()

    def private_key(self, key_id: str) -> PrivateKey:
        """Return a private key that the CLI made."""
        text = (self.folder / "trust" / "private" / f"{key_id}.key").read_text()
        # PEM headers and an old PKCS#8, neither of which Python reads.
        text = re.sub(r"^[a-z]+: .*\n+", "", text, flags=re.MULTILINE)
        command = ["openssl", "pkey", "-passin", f"pass:{PASSPHRASE}"]
        plain = subprocess.run(command, input=text.encode(), check=True, capture_output=True).stdout
        key = load_pem_private_key(plain, None)
        assert isinstance(key, PrivateKey)
        return key

    def signer(self, name: str, algorithm: Sequence[str], days: int = 3650) -> Signer:
        """Make a delegation's key and certificate with openssl and give the key to the CLI."""
        key, certificate = self.folder / f"{name}.key", self.folder / f"{name}.crt"
        command = ["openssl", "req", "-x509", *algorithm, "-nodes", "-subj", f"/CN={name}", "-days", str(days)]
        subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
        self.run("key", "import", str(key), "--role", name)
        return load_signer(key.read_text(), certificate.read_text())

    def manifest(self, layer: str) -> str:
        """Write an image manifest to be signed; return its path."""
        path = self.folder / f"{layer}.json"
        path.write_bytes(manifest_of(layer))
        return str(path)


def manifest_of(layer: str) -> bytes:
    """Return an image manifest."""
    descriptor = {"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", **describe(layer.encode())}
    config = {"mediaType": "application/vnd.docker.container.image.v1+json", **describe(b"{}")}
    kind = "application/vnd.docker.distribution.manifest.v2+json"
    document = {"schemaVersion": 2, "mediaType": kind, "config": config, "layers": [descriptor]}
    return json.dumps(document, indent=3).encode()


def describe(data: bytes) -> dict[str, Any]:
    """Return size and digest of some bytes."""
    entry = file_hashes(data)
    return {"size": entry["length"], "digest": "sha256:" + base64.b64decode(entry["hashes"]["sha256"]).hex()}


EC = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
EC_384 = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp384r1")
RSA = ("-newkey", "rsa:2048")


def record_dtr(notary: Notary) -> Fixture:
    """Record a repository signed the UCP way, before and after its root key was rotated."""
    notary.run("init", "-p", GUN)
    notary.run("key", "rotate", GUN, "snapshot", "-r")
    alice, bob = notary.signer("alice", EC), notary.signer("bob", RSA)
    notary.run("delegation", "add", "-p", GUN, RELEASES, str(notary.folder / "alice.crt"), "--all-paths")
    notary.run("delegation", "add", "-p", GUN, ADMIN, str(notary.folder / "bob.crt"), "--all-paths")
    notary.run("add", "-p", GUN, TAG, notary.manifest("layer"), "-r", RELEASES, "-r", ADMIN)
    notary.run("add", "-p", GUN, "1.5", notary.manifest("layer"), "-r", RELEASES)
    notary.run("add", "-p", GUN, "1.3", notary.manifest("layer"), "-r", "targets")
    files = notary.files(GUN)
    fixture: Fixture = {
        "gun": GUN,
        "time": now(),
        "tag": TAG,
        "manifest": manifest_of("layer").decode(),
        "spec": {
            "root": {"pem": root_certificate(files).decode()},
            "roles": [
                {"name": RELEASES, "keys": [{"pem": alice.certificate_pem}]},
                {"name": ADMIN, "keys": [{"pem": bob.certificate_pem}]},
            ],
        },
        "expect": VERIFIED,
        "files": files,
    }
    save("recorded", "dtr", fixture)
    notary.run("key", "rotate", GUN, "root", answers="yes\n")
    files = notary.files(GUN)
    root = {"root": {"pem": root_certificate(files).decode()}}
    save("recorded", "dtr-after-its-root-key-was-rotated", fixture | {"files": files, "spec": fixture["spec"] | root})
    return fixture


def record_plain(notary: Notary) -> None:
    """Record a repository as `docker push` leaves it: one tag in targets, the snapshot key with the client."""
    gun = "docker.io/library/alpine"
    notary.run("init", "-p", gun)
    notary.run("add", "-p", gun, "3.20", notary.manifest("alpine"))
    files = notary.files(gun)
    root = json.loads(files["root"])["signed"]["roles"]["root"]["keyids"][0]
    fixture = {
        "gun": gun,
        "time": now(),
        "tag": "3.20",
        "manifest": manifest_of("alpine").decode(),
        "spec": {"root": {"keyId": root}},
        "expect": VERIFIED,
        "files": files,
    }
    save("recorded", "without-delegations", fixture)


def record_certified(notary: Notary) -> None:
    """Record a repository whose root key an authority has certified, with a delegation for some tags only."""
    gun = "dtr.example.org/dev/certified"
    key_id = notary.run("key", "generate", "ecdsa", "-r", "root").rpartition(" ")[2].strip()
    begins = datetime.now(UTC) - timedelta(days=1)
    authority = certified("corporate authority", authority=True, begins=begins)
    root = certified(gun, notary.private_key(key_id), issuer=authority, begins=begins)
    path = notary.folder / "root.crt"
    path.write_text(root.certificate_pem)
    notary.run("init", "-p", "--rootcert", str(path), gun)
    carol = notary.signer("carol", EC_384)
    certificate = str(notary.folder / "carol.crt")
    notary.run("delegation", "add", "-p", gun, RELEASES, certificate, "--paths", "release-")
    notary.run("add", "-p", gun, "release-1", notary.manifest("certified"), "-r", RELEASES)
    fixture = {
        "gun": gun,
        "time": now(),
        "tag": "release-1",
        "manifest": manifest_of("certified").decode(),
        "spec": {
            "root": {"ca": {"pem": authority.certificate_pem, "gunPrefix": "dtr.example.org/dev"}},
            "roles": [{"name": RELEASES, "keys": [{"keyId": carol.canonical_id}]}],
        },
        "expect": VERIFIED,
        "files": notary.files(gun),
    }
    save("recorded", "root-certified-by-an-authority", fixture)


def root_certificate(files: Mapping[str, bytes]) -> bytes:
    """Return the certificate of a repository's root key."""
    root = json.loads(files["root"])["signed"]
    return base64.b64decode(root["keys"][root["roles"]["root"]["keyids"][0]]["keyval"]["public"])


def now() -> str:
    """Return the time, a minute ahead: what was just signed is not from the future."""
    return (datetime.now(UTC) + timedelta(minutes=1)).replace(microsecond=0).isoformat()


def save(folder: str, name: str, fixture: Fixture) -> None:
    """Write a fixture; files are text, since metadata is."""
    files = {key: data.decode("utf-8", "surrogateescape") for key, data in fixture["files"].items()}
    text = json.dumps(fixture | {"files": files}, indent=1, sort_keys=True)
    (HERE / folder / f"{name}.json").write_text(text + "\n")
