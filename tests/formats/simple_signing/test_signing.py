"""Images signed into each store: what is stored, what is left alone, what is refused before anything is signed."""

from __future__ import annotations

import json
import os
from base64 import b64decode
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sealgate.errors import (
    ConflictError,
    InvalidReferenceError,
    SigningError,
    UnauthorizedError,
    UnavailableError,
    VerificationError,
)
from sealgate.formats.interface import MAX_SIGNATURES
from sealgate.formats.signing import SigningOutcome
from sealgate.formats.simple_signing.sign import SimpleSigner, parse_identity, signed_name
from sealgate.formats.simple_signing.stores import FolderStore, LookasideStore, OpenShiftStore
from sealgate.formats.simple_signing.wire import build_payload
from sealgate.keys.openpgp.keyring import load_keyring
from sealgate.reasons import Reason
from sealgate.references import parse_reference
from tests.support.environments.registry_clients import login
from tests.support.environments.simple_signing import simple_check
from tests.support.environments.simple_signing_signer import (
    FOLDER_NAME,
    OPENPGP,
    SigningEnvironment,
    fingerprint_of,
    secret_key,
)
from tests.support.signers.simple_signing import REFERENCE, Signer, message, payload, subject
from tests.support.simulators.http_faults import Fault
from tests.support.simulators.lookaside import LookasideSimulator
from tests.support.simulators.registry_auth import Auth

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealgate.clocks import Deadline
    from sealgate.formats.simple_signing.storing import WritableStore
    from tests.support.simulators.http_messages import Answer


@pytest.fixture
def environment() -> Iterator[SigningEnvironment]:
    with SigningEnvironment() as environment:
        yield environment


@pytest.fixture
def server() -> Iterator[LookasideSimulator]:
    with LookasideSimulator() as server:
        yield server


@pytest.fixture
def web(server: LookasideSimulator) -> Iterator[SigningEnvironment]:
    with SigningEnvironment() as environment:
        environment.trust(server)
        yield environment


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / FOLDER_NAME).iterdir())


def test_text_is_written_as_skopeo_writes_it() -> None:
    recorded = load_keyring(Path(__file__, "../../../data/simple_signing/keys/skopeo.asc").resolve().read_text())
    written = recorded.verify(message("skopeo-tag"), datetime(2024, 6, 20, tzinfo=UTC)).payload
    optional = json.loads(written)["optional"]
    assert build_payload(subject(), REFERENCE, optional["creator"], optional["timestamp"]) == written


def test_signature_in_the_extension_is_verified_and_documented(environment: SigningEnvironment) -> None:
    result = environment.sign(OpenShiftStore())
    assert result.outcome is SigningOutcome.SIGNED
    assert (result.fingerprint, result.algorithm, result.key_version) == (fingerprint_of(OPENPGP), "OpenPGP", "")
    assert environment.verified() == (result.fingerprint,)
    (entry,) = environment.registry.signatures[environment.digest]
    (request,) = [request for request in environment.registry.requests if request.method == "PUT"]
    sent = json.loads(request.body)
    assert sorted(sent) == ["content", "name", "schemaVersion", "type", "version"]
    assert (sent["schemaVersion"], sent["version"], sent["type"]) == (2, 2, "atomic")
    digest, _, name = entry["name"].partition("@")
    assert (digest, len(name)) == (environment.digest, 32)
    assert result.size == len(b64decode(entry["content"]))
    assert result.location.startswith(
        f"{environment.registry.host}/extensions/v2/team/api/signatures/{environment.digest}, "
    )


def test_payload_names_program_time_digest_and_reference(environment: SigningEnvironment) -> None:
    environment.sign(OpenShiftStore())
    (entry,) = environment.registry.signatures[environment.digest]
    signed = load_keyring(OPENPGP.public).verify(b64decode(entry["content"]), datetime.now(UTC))
    document = json.loads(signed.payload)
    assert document["critical"] == {
        "identity": {"docker-reference": f"{environment.registry.host}/team/api:1.4"},
        "image": {"docker-manifest-digest": environment.digest},
        "type": "atomic container signature",
    }
    assert document["optional"]["creator"].startswith("sealgate ")
    assert document["optional"]["timestamp"] == int(environment.clock.now().timestamp())


@pytest.mark.parametrize(
    ("given", "signed"),
    [
        ("registry.example.org/team/api:1.4", "registry.example.org/team/api:1.4"),
        ("Registry.example.org:443/team/api:1.4", "registry.example.org/team/api:1.4"),
        ("registry.example.org/team/api", "registry.example.org/team/api:latest"),
        (f"registry.example.org/team/api@{subject()}", f"registry.example.org/team/api@{subject()}"),
        (f"registry.example.org/team/api:1.4@{subject()}", "registry.example.org/team/api:1.4"),
        ("nginx:1", "docker.io/library/nginx:1"),
    ],
)
def test_signed_name_is_the_one_that_verification_expects(given: str, signed: str) -> None:
    reference = parse_reference(given)
    assert str(signed_name(reference)) == signed
    simple_check(OPENPGP.public).identity.require(reference, parse_reference(signed))


def test_another_name_is_signed_where_the_user_wants_it(environment: SigningEnvironment) -> None:
    identity = parse_identity("registry.example.org/products/api:2")
    environment.sign(OpenShiftStore(), identity=identity)
    with pytest.raises(VerificationError) as caught:
        environment.verified()
    assert caught.value.reason is Reason.REPOSITORY_MISMATCH
    rule = {"matchPolicy": "ExactReference", "exactReference": {"reference": str(identity)}}
    assert environment.verified(signedIdentity=rule) == (fingerprint_of(OPENPGP),)


@pytest.mark.parametrize("text", ["registry.example.org/team/api", f"{REFERENCE}@{subject()}", "UPPER/case", ""])
def test_a_name_that_tools_do_not_verify_is_refused(text: str) -> None:
    with pytest.raises(InvalidReferenceError):
        parse_identity(text)


@pytest.mark.parametrize("kind", ["openshift", "folder", "web"])
def test_own_signature_is_left_alone_and_others_are_added(
    web: SigningEnvironment, server: LookasideSimulator, tmp_path: Path, kind: str
) -> None:
    stores: dict[str, WritableStore] = {
        "openshift": OpenShiftStore(),
        "folder": FolderStore(tmp_path),
        "web": LookasideStore(f"{server.url}/sigstore", None),
    }
    store, other = stores[kind], Signer()

    def stored() -> list[bytes]:
        return [candidate.message() for candidate in store.candidates(web.here(), web.sources())]

    first = web.sign(store)
    (own,) = stored()
    again = web.sign(store)
    assert (again.outcome, again.location, again.digest) == (
        SigningOutcome.ALREADY_SIGNED,
        first.location,
        first.digest,
    )
    assert stored() == [own]
    outcomes = [web.sign(store, key=other).outcome, web.sign(store, web.here("1.5")).outcome]
    assert outcomes == [SigningOutcome.SIGNED] * 2
    assert stored()[0] == own
    assert len(stored()) == 3


def test_signature_of_another_subkey_or_name_is_not_the_own_one(environment: SigningEnvironment) -> None:
    other = payload(environment.digest, f"{environment.registry.host}/team/web:1.4")
    environment.registry.sign(environment.digest, OPENPGP.sign(other))
    environment.registry.sign(
        environment.digest, OPENPGP.sign(payload("sha256:" + "0" * 64, str(environment.here().reference)))
    )
    assert environment.sign(OpenShiftStore()).outcome is SigningOutcome.SIGNED


def test_what_cannot_be_understood_is_left_as_it_is(environment: SigningEnvironment, tmp_path: Path) -> None:
    folder = tmp_path / FOLDER_NAME
    folder.mkdir(parents=True)
    (folder / "signature-1").write_bytes(b"not a signature")
    (folder / "signature-2").mkdir()
    result = environment.sign(FolderStore(tmp_path))
    assert result.location == f"{folder}/signature-3"
    assert (folder / "signature-1").read_bytes() == b"not a signature"
    environment.registry.signatures[environment.digest] = [{"name": "odd"}, 7]
    environment.sign(OpenShiftStore())
    assert environment.registry.signatures[environment.digest][:2] == [{"name": "odd"}, 7]
    assert environment.verified() == (fingerprint_of(OPENPGP),)


def test_store_that_cannot_be_read_is_not_written_to(environment: SigningEnvironment) -> None:
    environment.registry.faults.answer("/extensions/", body=b'{"signatures": {}}')
    with pytest.raises(VerificationError):
        environment.sign(OpenShiftStore())
    environment.registry.faults.clear()
    environment.registry.faults.status("/extensions/", 500)
    with pytest.raises(UnavailableError):
        environment.sign(OpenShiftStore())
    assert not any(request.method == "PUT" for request in environment.registry.requests)


def test_no_signature_more_than_verification_reads_is_stored(environment: SigningEnvironment, tmp_path: Path) -> None:
    folder = tmp_path / FOLDER_NAME
    folder.mkdir(parents=True)
    for number in range(1, MAX_SIGNATURES + 1):
        (folder / f"signature-{number}").write_bytes(b"x")
        environment.registry.sign(environment.digest, b"x")
    for store in (FolderStore(tmp_path), OpenShiftStore()):
        with pytest.raises(SigningError, match=f"there are {MAX_SIGNATURES} signatures.*remove the useless ones"):
            environment.sign(store)
    assert len(files(tmp_path)) == len(environment.registry.signatures[environment.digest]) == MAX_SIGNATURES


def test_missing_role_is_named_with_the_command_that_gives_it() -> None:
    auth = Auth(mode="bearer", users={"robot": "s3cret"})
    with SigningEnvironment(auth=auth, image_signers=False) as environment:
        credentials = login(environment.registry)
        with pytest.raises(UnauthorizedError, match="oc adm policy add-cluster-role-to-user system:image-signer"):
            environment.sign(OpenShiftStore(), credentials=credentials)
        auth.pull_only.add("robot")
        with pytest.raises(UnauthorizedError, match="oc adm policy add-cluster-role-to-user system:image-signer"):
            environment.sign(OpenShiftStore(), credentials=credentials)
        auth.pull_only.clear()
        environment.registry.image_signers = True
        assert environment.sign(OpenShiftStore(), credentials=credentials).outcome is SigningOutcome.SIGNED


def test_taken_name_is_drawn_again(environment: SigningEnvironment) -> None:
    environment.registry.faults.status(f"signatures/{environment.digest}$", 409, times=1).method = "PUT"
    assert environment.sign(OpenShiftStore()).outcome is SigningOutcome.SIGNED
    environment.registry.faults.status(f"signatures/{environment.digest}$", 409).method = "PUT"
    with pytest.raises(ConflictError):
        environment.sign(OpenShiftStore(), environment.here("1.5"))


def test_registry_without_the_extension_is_an_error(environment: SigningEnvironment) -> None:
    environment.registry.faults.answer("/extensions/", 404, body=b"404 page not found")
    with pytest.raises(SigningError, match="does not have the signature extension"):
        environment.sign(OpenShiftStore())


def test_signature_that_is_gone_when_read_back_is_an_error(environment: SigningEnvironment) -> None:
    def forget(answer: Answer) -> Answer:
        environment.registry.signatures.clear()
        return answer

    environment.registry.faults.add(Fault("/extensions/", forget, method="PUT"))
    with pytest.raises(SigningError, match="not there when it is read back"):
        environment.sign(OpenShiftStore())


def test_changed_byte_is_never_accepted(environment: SigningEnvironment, tmp_path: Path) -> None:
    environment.sign(FolderStore(tmp_path))
    file = tmp_path / FOLDER_NAME / "signature-1"
    good = file.read_bytes()
    store = {"lookaside": {"url": tmp_path.as_uri()}}
    assert environment.verified(store=store) == (fingerprint_of(OPENPGP),)
    start = good.index(b'{"critical"')
    end = good.index(b"}}", start) + 2
    # Times and names of the packets around the text, and hints in the signature, are not signed.
    for at in [*range(start, end, 5), *range(len(good) - 32, len(good))]:
        file.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        with pytest.raises(VerificationError):
            environment.verified(store=store)


def test_files_are_numbered_readable_and_complete(environment: SigningEnvironment, tmp_path: Path) -> None:
    keys = [Signer() for _ in range(3)]
    for key in keys:
        environment.sign(FolderStore(tmp_path), key=key)
    assert files(tmp_path) == ["signature-1", "signature-2", "signature-3"]
    mode = (tmp_path / FOLDER_NAME / "signature-1").stat().st_mode
    assert mode & 0o444 == 0o444 & ~os.umask(os.umask(0))


def test_writers_at_once_lose_no_file_and_leave_no_gap(environment: SigningEnvironment, tmp_path: Path) -> None:
    keys = [Signer() for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda key: environment.sign(FolderStore(tmp_path), key=key), keys))
    assert files(tmp_path) == [f"signature-{number}" for number in range(1, 9)]
    assert len({result.location for result in results}) == 8
    every = simple_check(*(key.public for key in keys), store={"lookaside": {"url": tmp_path.as_uri()}})
    assert set(every.verify(environment.here(), environment.sources()).fingerprints) == {
        fingerprint_of(key) for key in keys
    }


class Unused:
    """A key that must not be used."""

    def __init__(self) -> None:
        self.keyring = load_keyring(OPENPGP.public)
        self.fingerprint = fingerprint_of(OPENPGP)
        self.name = "gpg:unused"

    def sign(self, payload: bytes, deadline: Deadline) -> bytes:
        del payload, deadline
        pytest.fail("signed although the store takes no signature")


def test_folder_without_write_access_is_an_error_before_signing(
    environment: SigningEnvironment, tmp_path: Path
) -> None:
    (tmp_path / "team").write_text("a file where a folder should be")
    # No user can create files in /proc, not even root, for whom a folder of mode 0555 is no obstacle.
    for folder in (Path("/proc/self"), tmp_path):
        with pytest.raises(SigningError, match=r"cannot be written to.*choose another store"):
            SimpleSigner(Unused(), FolderStore(folder)).sign(environment.here(), environment.context())


def test_missing_folder_is_an_error(environment: SigningEnvironment, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="is not a folder"):
        environment.sign(FolderStore(tmp_path / "missing"))
    assert not (tmp_path / "missing").exists()


def test_nothing_is_written_through_a_link_that_leads_out(environment: SigningEnvironment, tmp_path: Path) -> None:
    base, outside = tmp_path / "store", tmp_path / "outside"
    base.mkdir()
    (outside / "api").mkdir(parents=True)
    (base / "team").symlink_to(outside)
    with pytest.raises((SigningError, VerificationError)):
        environment.sign(FolderStore(base))
    assert [path.name for path in outside.rglob("*")] == ["api"]


def test_failed_signing_leaves_no_file(environment: SigningEnvironment, tmp_path: Path) -> None:
    class Broken(Unused):
        def sign(self, payload: bytes, deadline: Deadline) -> bytes:
            del payload, deadline
            raise SigningError("gpg-agent does not have its passphrase")

    with pytest.raises(SigningError, match="passphrase"):
        SimpleSigner(Broken(), FolderStore(tmp_path)).sign(environment.here(), environment.context())
    assert files(tmp_path) == []


def test_web_server_stores_files_with_the_credentials_of_its_host() -> None:
    auth = Auth(mode="basic", users={"robot": "s3cret"})
    with LookasideSimulator(auth=auth) as server, SigningEnvironment() as environment:
        environment.trust(server)
        store = LookasideStore(f"{server.url}/sigstore", None)
        result = environment.sign(store, credentials=login(server))
        assert result.location == f"{server.url}/sigstore/{FOLDER_NAME}/signature-1"
        assert environment.verified(store={"lookaside": {"url": store.url}}) == (fingerprint_of(OPENPGP),)
        with pytest.raises(UnauthorizedError):
            environment.sign(store, environment.here("1.5"))
        assert all("authorization" not in request.headers for request in environment.registry.requests)


def test_server_over_tls_needs_its_own_ca() -> None:
    with LookasideSimulator(tls=True) as server, SigningEnvironment() as environment:
        environment.trust(server)
        assert environment.sign(LookasideStore(server.url, server.ca_pem)).outcome is SigningOutcome.SIGNED
        with pytest.raises(UnavailableError):
            environment.sign(LookasideStore(server.url, None))


def test_faster_writer_on_a_web_server_is_not_overwritten(web: SigningEnvironment, server: LookasideSimulator) -> None:
    theirs = Signer().sign(payload(web.digest, str(web.here().reference)))
    server.before_put = lambda path: server.files.update({path: theirs}) if not server.files else None
    web.sign(LookasideStore(f"{server.url}/sigstore", None))
    assert [path.rpartition("/")[2] for path in server.files] == ["signature-1", "signature-2"]
    assert next(iter(server.files.values())) == theirs


def test_signature_that_another_writer_replaced_is_stored_again(
    web: SigningEnvironment, server: LookasideSimulator
) -> None:
    server.conditional = False
    theirs = Signer().sign(payload(web.digest, str(web.here().reference)))
    server.after_put = lambda path: server.files.update({path: theirs}) if len(server.files) == 1 else None
    web.sign(LookasideStore(f"{server.url}/sigstore", None))
    assert [path.rpartition("/")[2] for path in server.files] == ["signature-1", "signature-2"]
    assert web.verified(store={"lookaside": {"url": f"{server.url}/sigstore"}}) == (fingerprint_of(OPENPGP),)


@pytest.mark.parametrize(
    ("status", "error", "why"),
    [
        (403, UnauthorizedError, "credentials that may write there"),
        (404, SigningError, "does not take files with PUT"),
        (405, SigningError, "does not take files with PUT"),
        (501, SigningError, "does not take files with PUT"),
        (409, SigningError, "does not create folders"),
        (500, UnavailableError, "try again later"),
    ],
)
def test_web_server_that_takes_no_file_is_named(
    web: SigningEnvironment, server: LookasideSimulator, status: int, error: type[Exception], why: str
) -> None:
    server.faults.answer("signature-1", status).method = "PUT"
    with pytest.raises(error, match=why):
        web.sign(LookasideStore(f"{server.url}/sigstore", None))


def test_web_server_that_cannot_be_read_is_not_written_to(web: SigningEnvironment, server: LookasideSimulator) -> None:
    server.faults.answer("signature-1", 500)
    with pytest.raises(UnavailableError):
        web.sign(LookasideStore(f"{server.url}/sigstore", None))
    assert [request.method for request in server.requests] == ["GET"]


def test_numbered_files_need_one_writer_at_a_time(environment: SigningEnvironment, tmp_path: Path) -> None:
    def lock_of(store: WritableStore) -> str:
        return SimpleSigner(secret_key(), store).lock_name(environment.here())

    assert lock_of(OpenShiftStore()) == ""
    assert lock_of(FolderStore(tmp_path)) == f"{tmp_path}/{FOLDER_NAME}"
    assert lock_of(LookasideStore("https://a.example.org", None)) == f"https://a.example.org/{FOLDER_NAME}"


def test_only_on_a_web_server_a_signature_is_looked_for_once_more(
    web: SigningEnvironment, server: LookasideSimulator, tmp_path: Path
) -> None:
    store = LookasideStore(f"{server.url}/sigstore", None)
    assert [web.sign(store).contested, web.sign(store).contested] == [True, False]
    assert not web.sign(OpenShiftStore()).contested
    assert not web.sign(FolderStore(tmp_path)).contested
