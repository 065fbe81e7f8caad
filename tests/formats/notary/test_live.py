"""Signing and verification with the real notary-server and notary CLI (Debian's `notary`)."""

from __future__ import annotations

import base64
import contextlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from sealgate.api.v1alpha1.notary import NotarySpec
from sealgate.clocks import Deadline, SystemClock
from sealgate.errors import UnauthorizedError, VerificationError
from sealgate.formats.interface import Image, Sources
from sealgate.formats.notary.verify import build
from sealgate.keys.resolvers import FileKeys
from sealgate.reasons import Reason
from sealgate.references import parse_reference
from sealgate.registry.interface import DOCKER_MANIFEST
from sealgate.trusted_state.directory import DirectoryTrustedState
from tests.data.notary.recording import ADMIN, EC, GUN, RELEASES, RSA, TAG, Notary, manifest_of, root_certificate
from tests.support.environments.registry_clients import client_for, docker_config
from tests.support.real_tools.notary_tokens import token_for
from tests.support.real_tools.required import require_tool
from tests.support.simulators.http_messages import Answer, encode, json_answer
from tests.support.simulators.registry import RegistrySimulator, digest_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from sealgate.findings import Verified
    from sealgate.registry.client import RegistryClient
    from sealgate.registry.credentials import CredentialProvider

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]


@dataclass
class Live:
    """A real notary server, a registry with two images, and sealgate.

    Attributes:
        notary: the server and the CLI.
        registry: the mirror of dtr.example.org.
        client: asks both.
        state: store of the trusted versions.
    """

    notary: Notary
    registry: RegistrySimulator
    client: RegistryClient
    state: Path

    def verify(
        self, spec: Mapping[str, Any], tag: str = TAG, layer: str = "layer", credentials: Any = None
    ) -> Verified:
        deadline = Deadline.after(SystemClock(), 30)
        sources = Sources(
            registry=self.client.session(credentials or docker_config({}), deadline),
            services=self.client.services(deadline),
            clock=SystemClock(),
            deadline=deadline,
            state=DirectoryTrustedState(self.state),
        )
        written = json.dumps({"server": self.notary.url, **spec})
        image = Image(parse_reference(f"{GUN}:{tag}"), digest_of(manifest_of(layer)))
        return build(NotarySpec.model_validate_json(written), FileKeys({})).verify(image, sources)

    def refuses(self, reason: Reason, spec: Mapping[str, Any], **options: Any) -> str:
        with pytest.raises(VerificationError) as caught:
            self.verify(spec, **options)
        assert caught.value.reason is reason, caught.value.message
        return caught.value.message

    def pin(self) -> dict[str, str]:
        return {"pem": root_certificate({"root": self.notary.get(GUN, "root")}).decode()}


@contextlib.contextmanager
def live(folder: Path, registry: RegistrySimulator, auth: Mapping[str, Any] | None = None) -> Iterator[Live]:
    for tool in ("notary", "notary-server", "openssl"):
        require_tool(tool)
    for layer in ("layer", "another"):
        registry.push_manifest("dev/nginx", None, manifest_of(layer), DOCKER_MANIFEST)
    with (
        Notary(folder, auth) as notary,
        client_for(
            registry, insecure=frozenset({notary.address}), mirrors={"dtr.example.org": registry.host}
        ) as client,
    ):
        yield Live(notary, registry, client, folder / "state")


@pytest.fixture
def dtr(tmp_path: Path) -> Iterator[Live]:
    with RegistrySimulator() as registry, live(tmp_path, registry) as dtr:
        yield dtr


def sign_as_ucp_wants_it(dtr: Live) -> dict[str, Any]:
    notary = dtr.notary
    notary.run("init", "-p", GUN)
    notary.run("key", "rotate", GUN, "snapshot", "-r")
    signers = {RELEASES: notary.signer("alice", EC), ADMIN: notary.signer("bob", RSA)}
    for role, name in ((RELEASES, "alice"), (ADMIN, "bob")):
        notary.run("delegation", "add", "-p", GUN, role, str(notary.folder / f"{name}.crt"), "--all-paths")
    notary.run("add", "-p", GUN, TAG, notary.manifest("layer"), "-r", RELEASES, "-r", ADMIN)
    roles = [{"name": role, "keys": [{"pem": signer.certificate_pem}]} for role, signer in signers.items()]
    return {"root": dtr.pin(), "roles": roles}


def test_image_without_signatures_is_unsigned(dtr: Live) -> None:
    message = dtr.refuses(Reason.NO_SIGNATURE, {"root": {"keyId": "0" * 64}})
    assert GUN in message


def test_from_the_first_signature_to_a_rotated_root(dtr: Live) -> None:
    spec = sign_as_ucp_wants_it(dtr)
    assert len(dtr.verify(spec).fingerprints) == 2
    dtr.refuses(Reason.DIGEST_MISMATCH, spec, layer="another")
    dtr.refuses(Reason.NO_SIGNATURE, spec, tag="1.5")
    dtr.refuses(Reason.UNKNOWN_KEY, {**spec, "root": {"keyId": "0" * 64}})
    # A tag in one role only is not enough, and is once it is in the other.
    dtr.notary.run("add", "-p", GUN, "1.5", dtr.notary.manifest("another"), "-r", RELEASES)
    dtr.refuses(Reason.NO_SIGNATURE, spec, tag="1.5", layer="another")
    dtr.notary.run("add", "-p", GUN, "1.5", dtr.notary.manifest("another"), "-r", ADMIN)
    dtr.verify(spec, tag="1.5", layer="another")
    # A revoked signature no longer counts.
    dtr.notary.run("remove", "-p", GUN, "1.5", "-r", RELEASES)
    dtr.refuses(Reason.NO_SIGNATURE, spec, tag="1.5", layer="another")
    # The next root is followed from the one before, and must be pinned.
    dtr.notary.run("key", "rotate", GUN, "root", answers="yes\n")
    dtr.refuses(Reason.UNKNOWN_KEY, spec)
    dtr.verify({**spec, "root": dtr.pin()})


def test_recreated_repository_is_refused(dtr: Live) -> None:
    spec = sign_as_ucp_wants_it(dtr)
    dtr.verify(spec)
    dtr.notary.run("delete", GUN, "--remote")
    dtr.refuses(Reason.NO_SIGNATURE, spec)
    dtr.notary.run("init", "-p", GUN)
    dtr.notary.run("add", "-p", GUN, TAG, dtr.notary.manifest("layer"))
    message = dtr.refuses(Reason.ROLLBACK, {"root": dtr.pin()})
    assert str(dtr.state) in message


def test_without_roles_order_matches_the_docker_client(dtr: Live) -> None:
    notary = dtr.notary
    notary.run("init", "-p", GUN)
    notary.run("add", "-p", GUN, TAG, notary.manifest("layer"))
    spec = {"root": dtr.pin()}
    dtr.verify(spec)
    notary.signer("alice", EC)
    notary.run("delegation", "add", "-p", GUN, RELEASES, str(notary.folder / "alice.crt"), "--all-paths")
    dtr.verify(spec)
    notary.run("add", "-p", GUN, TAG, notary.manifest("another"), "-r", RELEASES)
    dtr.refuses(Reason.DIGEST_MISMATCH, spec)
    dtr.verify(spec, layer="another")


def test_removed_roles_and_keys_do_not_affect_others(dtr: Live) -> None:
    spec, notary = sign_as_ucp_wants_it(dtr), dtr.notary
    carol, certificate = notary.signer("carol", EC), str(notary.folder / "carol.crt")
    notary.run("delegation", "add", "-p", GUN, "targets/carol", certificate, "--all-paths")
    notary.run("delegation", "remove", "-p", GUN, "targets/carol", carol.canonical_id, "-y")
    assert b'"keyids":null' in notary.get(GUN, "targets")
    dtr.verify(spec)
    notary.run("add", "-p", GUN, TAG, notary.manifest("layer"))
    for role in ("targets/carol", RELEASES, ADMIN):
        notary.run("delegation", "remove", "-p", GUN, role, "-y")
    assert b'"roles":null' in notary.get(GUN, "targets")
    dtr.refuses(Reason.NO_SIGNATURE, spec)
    dtr.verify({"root": dtr.pin()})


# A server that requires tokens -----------------------------------------------------------------------------------


def robot(host: str) -> CredentialProvider:
    return docker_config({host: {"username": "robot", "password": "s3cret"}})


def test_the_token_flow_is_that_of_the_real_server(tmp_path: Path) -> None:
    with RegistrySimulator() as registry:
        token, bundle = token_for(GUN, tmp_path)
        registry.documents["/tokens"] = json_answer({"token": token})
        options = {"realm": f"{registry.url}/tokens", "service": "notary", "issuer": "token service"}
        auth = {"type": "token", "options": {**options, "rootcertbundle": str(bundle)}}
        with live(tmp_path, registry, auth) as dtr:
            dtr.notary.run("init", "-p", GUN)
            dtr.notary.run("add", "-p", GUN, TAG, dtr.notary.manifest("layer"))
            key = dtr.notary.run("key", "list").split("root")[1].split()[0]
            registry.requests.clear()
            dtr.verify({"root": {"keyId": key}}, credentials=robot(dtr.notary.address))
            (asked,) = [request for request in registry.requests if request.path == "/tokens"]
            assert ("scope", f"repository:{GUN}:pull") in asked.query
            assert ("service", "notary") in asked.query
            assert asked.headers["authorization"] == "Basic " + base64.b64encode(b"robot:s3cret").decode()
            registry.documents["/tokens"] = Answer(200, {}, encode({"token": token[:-8] + "AAAAAAAA"}))
            with pytest.raises(UnauthorizedError):
                dtr.verify({"root": {"keyId": key}}, credentials=docker_config({}))
