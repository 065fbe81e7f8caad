"""Attestations that are made here: they verify, are made once, and leave those of others alone."""

from __future__ import annotations

import json
import subprocess
from base64 import b64decode, b64encode
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pysequoia
import pytest

from sealgate.errors import NotFoundError, SigningError, UnauthorizedError, UnavailableError, VerificationError
from sealgate.formats.grafeas.attestors import DetachedAttestor, OpenPGPAttestor
from sealgate.formats.grafeas.sign import GrafeasSigner
from sealgate.formats.grafeas.stores import GrafeasServer
from sealgate.formats.signing import SigningOutcome
from sealgate.keys.openpgp.secret_keys import SecretKeyFile
from sealgate.reasons import Reason
from tests.support.environments.grafeas import DIGEST, KEY, OTHER_DIGEST, REPOSITORY, STRANGER, key_entry, uri
from tests.support.real_tools.required import require_tool
from tests.support.signers.private_keys import fingerprint, new_key
from tests.support.signers.signing_keys import LocalSigningKey
from tests.support.signers.sm2 import SM2PrivateKey
from tests.support.simulators.grafeas import NOTE, payload_of
from tests.support.simulators.http_messages import Answer, json_answer

if TYPE_CHECKING:
    from sealgate.formats.signing import SigningResult
    from tests.support.environments.grafeas import GrafeasEnvironment
    from tests.support.signers.private_keys import PrivateKey

SECRET_KEYS = Path(__file__).parents[2] / "data" / "openpgp_secret_keys"
RSA = new_key("RSA 2048", "grafeas-signing")
ID = "the-key-of-qa"
KINDS = [
    ("ECDSA P-256", None),
    ("ECDSA P-384", None),
    ("ECDSA P-521", None),
    ("ECDSA P-384", "ECDSA_SHA_256"),
    ("RSA 2048", "RSA_PSS_SHA_256"),
    ("RSA 2048", "RSA_PKCS1_SHA_256"),
    ("RSA 3072", "RSA_PKCS1_SHA_512"),
    ("Ed25519", None),
]


def signer_of(environment: GrafeasEnvironment, key: LocalSigningKey | None = None, **more: Any) -> GrafeasSigner:
    version = environment.server.version
    server = GrafeasServer(
        url=environment.server.url,
        ca=None,
        api_version=version,
        note=more.pop("note", NOTE),
        parent=NOTE,
        filter="resourceUrl" if version == "v1" else "resource_url",
        credentials=more.pop("credentials", None),
    )
    attestor = more.pop("attestor", None) or DetachedAttestor(key or LocalSigningKey(KEY), more.pop("key_id", ID))
    return GrafeasSigner(server, more.pop("project", "projects/prod"), attestor)


def sign(environment: GrafeasEnvironment, signer: GrafeasSigner | None = None) -> SigningResult:
    return (signer or signer_of(environment)).sign(environment.image(), environment.context())


def openpgp_key(name: str) -> SecretKeyFile:
    return SecretKeyFile((SECRET_KEYS / name).read_bytes(), name, datetime.now(UTC), lambda: None)


def public_of(name: str) -> str:
    return str(pysequoia.Cert.from_bytes((SECRET_KEYS / name).read_bytes()))


def entry(key: PrivateKey = KEY, algorithm: str | None = None) -> dict[str, Any]:
    return key_entry(key, algorithm, ID)


@pytest.mark.parametrize(("kind", "algorithm"), KINDS)
def test_attestation_verifies_in_either_version(either: GrafeasEnvironment, kind: str, algorithm: str | None) -> None:
    private = new_key(kind, "grafeas-signing")
    key = LocalSigningKey(private, algorithm)
    result = sign(either, signer_of(either, key))
    assert (result.outcome, result.fingerprint) == (SigningOutcome.SIGNED, fingerprint(private))
    assert result.algorithm == key.public.algorithm
    assert result.location == f"{either.server.host}: projects/prod/occurrences/1, signature 1"
    check = either.check(entry(private, algorithm))
    assert either.verify(check).fingerprints == (fingerprint(private),)


def test_sm2_attestation_verifies(environment: GrafeasEnvironment) -> None:
    private = SM2PrivateKey.generate()
    sign(environment, signer_of(environment, LocalSigningKey(private, "SM2")))
    environment.verify(environment.check({"id": ID, "pem": private.public_pem, "algorithm": "SM2"}))


@pytest.mark.parametrize("name", ["rsa-3072.asc", "ed25519.asc", "p256.asc", "two-signing-subkeys.asc"])
def test_openpgp_attestation_verifies_in_either_version(either: GrafeasEnvironment, name: str) -> None:
    signer = openpgp_key(name)
    result = sign(either, signer_of(either, attestor=OpenPGPAttestor(signer)))
    assert (result.fingerprint, result.algorithm) == (signer.fingerprint, "OpenPGP")
    check = either.check({"pgp": public_of(name)})
    assert either.verify(check).fingerprints == (signer.fingerprint,)
    again = sign(either, signer_of(either, attestor=OpenPGPAttestor(openpgp_key(name))))
    assert (again.outcome, again.location) == (SigningOutcome.ALREADY_SIGNED, result.location)


def test_gpg_accepts_an_openpgp_attestation(environment: GrafeasEnvironment, tmp_path: Path) -> None:
    sign(environment, signer_of(environment, attestor=OpenPGPAttestor(openpgp_key("rsa-3072.asc"))))
    (stored,) = environment.server.occurrences[0]["attestation"]["signatures"]
    tmp_path.chmod(0o700)

    def gpg(command: str, given: bytes) -> subprocess.CompletedProcess[bytes]:
        options = ["--homedir", str(tmp_path), "--batch", "--trust-model", "always", command]
        return subprocess.run(
            [require_tool("gpg"), *options], input=given, capture_output=True, check=True, timeout=150
        )

    gpg("--import", public_of("rsa-3072.asc").encode())
    read = gpg("--decrypt", b64decode(stored["signature"]))
    assert json.loads(read.stdout) == json.loads(payload_of(DIGEST, REPOSITORY))
    assert b"Good signature" in read.stderr


def test_payload_is_that_of_kritis(environment: GrafeasEnvironment) -> None:
    key = LocalSigningKey(KEY)
    sign(environment, signer_of(environment, key))
    (occurrence,) = environment.server.occurrences
    signed = b64decode(occurrence["attestation"]["serializedPayload"])
    assert key.messages == [signed]
    assert json.loads(signed) == json.loads(payload_of(DIGEST, REPOSITORY))
    assert b" " not in signed.replace(b"atomic container signature", b"")
    assert occurrence["resourceUri"] == uri()


def test_key_without_id_has_the_one_of_kritis(environment: GrafeasEnvironment) -> None:
    sign(environment, signer_of(environment, key_id=""))
    (stored,) = environment.server.occurrences[0]["attestation"]["signatures"]
    assert stored["publicKeyId"].startswith("ni:///sha-256;")
    check = environment.check({"pem": entry()["pem"]})
    environment.verify(check)


def test_image_is_signed_once(either: GrafeasEnvironment) -> None:
    first, key = sign(either), LocalSigningKey(KEY)
    second = sign(either, signer_of(either, key))
    assert (first.outcome, second.outcome) == (SigningOutcome.SIGNED, SigningOutcome.ALREADY_SIGNED)
    assert (second.location, key.messages) == (first.location, [])
    assert len(either.server.occurrences) == 1


@pytest.mark.parametrize("defect", ["changed signature", "other digest", "other key", "other id", "other note"])
def test_what_does_not_verify_is_no_reason_not_to_sign(environment: GrafeasEnvironment, defect: str) -> None:
    key, members = KEY, {"key_id": ID}
    payload = payload_of(OTHER_DIGEST if defect == "other digest" else DIGEST, REPOSITORY)
    if defect == "other key":
        key = STRANGER
    if defect == "other id":
        members["key_id"] = "another-id"
    if defect == "other note":
        members["noteName"] = "projects/prod/notes/another"
    stored = environment.attest(key, payload, **members)
    if defect == "changed signature":
        (signature,) = stored["attestation"]["signatures"]
        signature["signature"] = b64encode(b"\x00" + b64decode(signature["signature"])).decode()
    before = json.dumps(environment.server.occurrences)
    assert sign(environment).outcome is SigningOutcome.SIGNED
    assert json.dumps(environment.server.occurrences[:-1]) == before
    environment.verify(environment.check(entry()))


def test_two_keys_sign_one_image(environment: GrafeasEnvironment) -> None:
    sign(environment)
    sign(environment, signer_of(environment, LocalSigningKey(RSA, "RSA_PSS_SHA_256"), key_id="rsa"))
    check = environment.check(entry(), key_entry(RSA, "RSA_PSS_SHA_256", "rsa"))
    assert set(environment.verify(check).fingerprints) == {fingerprint(KEY), fingerprint(RSA)}


@pytest.mark.parametrize("member", ["serializedPayload", "signature"])
def test_one_changed_byte_is_refused(environment: GrafeasEnvironment, member: str) -> None:
    sign(environment)
    attestation = environment.server.occurrences[0]["attestation"]
    owner = attestation if member == "serializedPayload" else attestation["signatures"][0]
    data = bytearray(b64decode(owner[member]))
    data[len(data) // 2] ^= 1
    owner[member] = b64encode(data).decode()
    environment.refuses(Reason.INVALID_SIGNATURE, environment.check(entry()))


def test_occurrences_may_be_in_another_project_than_the_note(environment: GrafeasEnvironment) -> None:
    environment.server.projects.add("projects/builds")
    result = sign(environment, signer_of(environment, project="projects/builds"))
    assert result.location.endswith("projects/builds/occurrences/1, signature 1")
    environment.verify(environment.check(entry()))


def test_missing_note_is_named(environment: GrafeasEnvironment) -> None:
    signer = signer_of(environment, note="projects/prod/notes/none")
    with pytest.raises(NotFoundError, match="create projects/prod/notes/none and projects/prod there first"):
        sign(environment, signer)
    assert environment.server.occurrences == []


def test_token_is_sent_and_a_wrong_one_names_the_rights(environment: GrafeasEnvironment) -> None:
    environment.server.token = "the-right-token"
    environment.secrets = {"grafeas": {"token": b"the-right-token"}}
    assert sign(environment, signer_of(environment, credentials="grafeas")).outcome is SigningOutcome.SIGNED
    respond = environment.server.respond
    environment.server.respond = lambda request: (  # type: ignore[method-assign]  # the simulator is the test's own
        respond(request) if request.method == "GET" else json_answer({}, 403)
    )
    environment.server.occurrences.clear()
    with pytest.raises(UnauthorizedError, match="signing needs the rights to create occurrences"):
        sign(environment, signer_of(environment, credentials="grafeas"))


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (json_answer({}, 400), SigningError, "the service refuses the record; nothing was stored"),
        (json_answer({}, 500), UnavailableError, "status 500"),
        (json_answer({}), SigningError, "the response names no record"),
        (json_answer({"name": 7}), SigningError, "the response names no record"),
        (Answer(200, {}, b"<html>"), SigningError, "the response names no record"),
    ],
)
def test_response_that_confirms_nothing_is_an_error(
    environment: GrafeasEnvironment, answer: Answer, error: type[Exception], message: str
) -> None:
    respond = environment.server.respond
    environment.server.respond = lambda request: (  # type: ignore[method-assign]  # the simulator is the test's own
        respond(request) if request.method == "GET" else answer
    )
    with pytest.raises(error, match=message):
        sign(environment)


def test_attestation_that_is_not_listed_afterwards_is_an_error(environment: GrafeasEnvironment) -> None:
    environment.server.drops = True
    with pytest.raises(VerificationError, match="was stored as projects/prod/occurrences/1 and does not verify"):
        sign(environment)


def test_too_many_attestations_are_left_alone(environment: GrafeasEnvironment) -> None:
    for _ in range(129):
        environment.attest(STRANGER, key_id=ID)
    with pytest.raises(VerificationError, match="more than 128 candidate signatures"):
        sign(environment)
    assert len(environment.server.occurrences) == 129


def test_key_that_signs_as_another_stores_nothing(environment: GrafeasEnvironment) -> None:
    class Confused(LocalSigningKey):
        def sign(self, message: bytes, deadline: Any) -> bytes:
            return LocalSigningKey(STRANGER).sign(message, deadline)

    with pytest.raises(SigningError, match="returned a signature that its public key"):
        sign(environment, signer_of(environment, Confused(KEY)))
    assert environment.server.occurrences == []
