"""A registry that sends more than the limits, in every kind of response."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pytest

from sealgate.errors import DeadlineError, SealgateError, UnavailableError, VerificationError
from sealgate.http.interface import MAX_RESPONSE_BYTES
from sealgate.reasons import Reason
from sealgate.registry.interface import OCI_INDEX, OCI_MANIFEST
from tests.support.environments.registry_clients import client_for, repository_of, session_of
from tests.support.simulators.http_messages import Answer, encode
from tests.support.simulators.registry import RegistrySimulator, digest_of
from tests.support.simulators.registry_auth import Auth

if TYPE_CHECKING:
    from sealgate.references import Repository
    from sealgate.registry.session import Session

ONE = digest_of(b"one")
CHUNKED = {"Content-Type": OCI_MANIFEST, "Transfer-Encoding": "chunked"}
OK = 200
FRAMINGS = {
    "until the connection ends": (OK, {"Content-Type": OCI_MANIFEST}, b"\0" * 65536),
    "a length that is a lie": (OK, {"Content-Type": OCI_MANIFEST, "Content-Length": str(1 << 60)}, b"\0" * 65536),
    "a negative length": (OK, {"Content-Type": OCI_MANIFEST, "Content-Length": "-1"}, b"\0" * 65536),
    "endless chunks": (OK, CHUNKED, b"10000\r\n" + b"\0" * 65536 + b"\r\n"),
    "a chunk of negative length": (OK, CHUNKED, b"-1\r\n" + b"\0" * 65536),
    "a chunk without end": (OK, CHUNKED, b"fffffffffffffff\r\n" + b"\0" * 65536),
    "tiny chunks": (OK, CHUNKED, b"1\r\nx\r\n" * 4096),
    "a chunk header without end": (OK, CHUNKED, b"1" * 65536),
    "endless trailers": (OK, CHUNKED, b"0\r\n" + b"a: b\r\n" * 8192),
    "an endless header": (OK, {}, b"x" * 65536),
    "endless headers": (OK, {"X": "\r\n" + "a: b\r\n" * 10_000}, b"\0" * 65536),
    "endless answers of no consequence": (100, {}, b"HTTP/1.1 100 Continue\r\n\r\n" * 999),
}


def _read(session: Session, repository: Repository, what: str) -> None:
    if what == "manifests":
        session.manifest(repository, "v1")
    elif what == "blobs":
        session.blob(repository, ONE, 1000)
    else:
        session.referrers(repository, ONE, 10)


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize(("what", "tls"), [("manifests", False), ("blobs", True), ("referrers", False)])
def test_attack_32_an_endless_answer_is_cut_off(framing: str, what: str, *, tls: bool) -> None:
    status, headers, chunk = FRAMINGS[framing]
    with RegistrySimulator(tls=tls) as registry, client_for(registry) as client:
        if what == "referrers" and "Content-Type" in headers:
            headers = {**headers, "Content-Type": OCI_INDEX}
        registry.faults.endless(what, headers, chunk, status)
        with pytest.raises((VerificationError, UnavailableError)) as refused:
            _read(session_of(client, seconds=100), repository_of(registry), what)
        assert not isinstance(refused.value, DeadlineError)


def test_attack_32_too_many_bytes_are_refused_before_reading() -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        registry.faults.drop("manifests", after=b"HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\nx")
        with pytest.raises(VerificationError) as refused:
            session_of(client).manifest(repository_of(registry), "v1")
        assert refused.value.reason is Reason.EVIDENCE_TOO_LARGE


def test_attack_32_manifest_limit_is_exact_to_the_byte() -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        registry.push_manifest("team/app", "v1", b" " * MAX_RESPONSE_BYTES)
        registry.push_manifest("team/app", "v2", b" " * (MAX_RESPONSE_BYTES + 1))
        session_of(client).manifest(repository_of(registry), "v1")
        with pytest.raises(VerificationError):
            session_of(client).manifest(repository_of(registry), "v2")


@pytest.mark.parametrize("status", [307, 401, 404, 500])
def test_attack_32_endless_error_body_is_cut_and_still_an_error(status: int) -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        registry.faults.endless("manifests", {"Content-Type": "text/plain"}, status=status)
        with pytest.raises(UnavailableError) as failed:
            session_of(client, seconds=100).manifest(repository_of(registry), "v1")
        assert len(failed.value.message) < 300


def test_attack_32_endless_pages_of_referrers_are_cut_off() -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        link = f'</v2/team/app/referrers/{ONE}>; rel="next"'
        registry.faults.answer("referrers", 200, {"Content-Type": OCI_INDEX, "Link": link}, b'{"manifests":[]}')
        with pytest.raises(VerificationError) as refused:
            session_of(client).referrers(repository_of(registry), ONE, 10)
        assert refused.value.reason is Reason.EVIDENCE_TOO_LARGE
        assert len(registry.requests) == 16


def test_attack_32_an_endless_list_of_referrers_is_a_refusal() -> None:
    entries = [{"mediaType": "a/b", "digest": digest_of(b"%d" % n), "size": 1} for n in range(20_000)]
    with RegistrySimulator() as registry, client_for(registry) as client:
        body = encode({"manifests": entries})
        registry.faults.answer("referrers", 200, {"Content-Type": OCI_INDEX}, body)
        with pytest.raises(VerificationError) as refused:
            session_of(client).referrers(repository_of(registry), ONE, 128)
        assert refused.value.reason is Reason.EVIDENCE_TOO_LARGE


def test_attack_32_an_endless_token_is_no_token() -> None:
    with RegistrySimulator(auth=Auth("bearer", anonymous=True)) as registry, client_for(registry) as client:
        registry.faults.endless("/token", {"Content-Type": "application/json"})
        with pytest.raises(UnavailableError, match="answers too much"):
            session_of(client, seconds=100).manifest(repository_of(registry), "v1")


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, gzip", "x-gzip"])
def test_attack_33_compressed_response_is_never_decompressed(encoding: str) -> None:
    bomb = gzip.compress(b" " * 10_000_000)
    with RegistrySimulator() as registry, client_for(registry) as client:
        registry.push_manifest("team/app", "v1", bomb)
        registry.faults.header("manifests", "Content-Encoding", encoding)
        with pytest.raises(UnavailableError, match="encoding"):
            session_of(client).manifest(repository_of(registry), "v1")
        assert registry.requests[0].headers["accept-encoding"] == "identity"


def test_attack_33_compressed_bytes_without_header_are_bytes() -> None:
    bomb = gzip.compress(b" " * 1_000_000)
    with RegistrySimulator() as registry, client_for(registry) as client:
        digest = registry.push_blob("team/app", bomb)
        assert session_of(client).blob(repository_of(registry), digest, len(bomb)) == bomb


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 1_000_000,
        b'{"manifests":' * 100_000,
        b'{"manifests":[' + b"[" * 5_000 + b"]" * 5_000 + b"]}",
        b'{"manifests":[],"x":' + b"9" * 1_000_000 + b"}",
        b'{"manifests":[],"x":1e999}',
        b'{"manifests":[],"x":NaN}',
        b'{"manifests":[{"manifests":[],"digest":"a","digest":"b"}]}',
        b'{"manifests":["\xff"]}',
        b'{"manifests":[]} {}',
    ],
)
def test_attack_33_hostile_json_is_refused_wherever_it_is_read(body: bytes) -> None:
    with RegistrySimulator(auth=Auth("bearer", anonymous=True)) as registry, client_for(registry) as client:
        registry.faults.answer("referrers", 200, {"Content-Type": OCI_INDEX}, body)
        with pytest.raises(VerificationError):
            session_of(client).referrers(repository_of(registry), ONE, 10)
        registry.faults.answer("manifests/forbidden", 403, {"Content-Type": "application/json"}, body)
        with pytest.raises(UnavailableError):
            session_of(client).manifest(repository_of(registry), "forbidden")
        registry.documents["/other"] = Answer(body=body)
        registry.auth.realm = f"{registry.url}/other"
        with pytest.raises(SealgateError):
            session_of(client).manifest(repository_of(registry, "team/other"), "v1")
