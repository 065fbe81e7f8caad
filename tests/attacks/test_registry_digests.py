"""A registry, or an attacker on the connection, serves something else than what was requested."""

from __future__ import annotations

import pytest

from sealgate.errors import VerificationError
from sealgate.policies.decisions import Verdict
from sealgate.reasons import Reason
from sealgate.references import parse_reference
from sealgate.registry.interface import OCI_INDEX, OCI_MANIFEST
from sealgate.verification.tag_resolution import Resolved
from tests.support.environments.registry_clients import client_for, repository_of, session_of
from tests.support.environments.verifier import REPOSITORY, VerifierEnvironment
from tests.support.simulators.registry import RegistrySimulator, digest_of

OTHER = b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","other":true}'


def test_attack_01_digest_of_a_tag_is_computed_from_the_bytes() -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        signed = registry.push_image("team/app", "v1")
        # Other bytes under the digest header of the signed image.
        registry.faults.body("manifests", OTHER)
        with pytest.raises(VerificationError) as refused:
            session_of(client).manifest(repository_of(registry), "v1")
        assert refused.value.reason is Reason.DIGEST_MISMATCH
        registry.faults.clear()
        registry.faults.answer("manifests", 200, {"Content-Type": OCI_MANIFEST}, OTHER)
        served = session_of(client).manifest(repository_of(registry), "v1")
        assert served.digest == digest_of(OTHER) != signed


def test_attack_01_lying_header_only_chooses_the_verified_digest() -> None:
    with VerifierEnvironment() as environment:
        signed, unsigned = environment.push_signed("v1"), environment.registry.push_image(REPOSITORY, "v2")
        # The tag of the unsigned image, and the digest of the signed one.
        environment.registry.faults.header("manifests/v2", "Docker-Content-Digest", signed)
        (chosen,) = environment.verify(environment.image("v2"))
        reference = parse_reference(environment.image("v2"))
        pinned = environment.verifier.resolve([reference], environment.review())
        assert (chosen.verdict, chosen.subject, pinned) == (Verdict.ADMIT, signed, {reference: Resolved(signed)})
        # The other way round, and a digest that is not there.
        for lie in (unsigned, digest_of(b"not there")):
            environment.registry.faults.clear()
            environment.registry.faults.header(f"manifests/{lie[-4:]}", "Docker-Content-Digest", lie)
            environment.registry.tag(REPOSITORY, lie[-4:], signed)
            (refused,) = environment.verify(environment.image(lie[-4:]))
            assert (refused.verdict, refused.subject) == (Verdict.DENY, lie)


def test_attack_02_a_digest_that_the_registry_chose_is_refused() -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        registry.push_image("team/app", "v1")
        for chosen in (digest_of(b"x"), "sha256:", "sha256:" + "0" * 63, "md5:0", "", "sha512:" + "0" * 128, "x~y"):
            registry.faults.clear()
            registry.faults.header("manifests", "Docker-Content-Digest", chosen)
            with pytest.raises(VerificationError) as refused:
                session_of(client).manifest(repository_of(registry), "v1")
            assert refused.value.reason is Reason.DIGEST_MISMATCH


def test_attack_02_two_digest_headers_do_not_hide_the_wrong_one() -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        right, wrong = digest_of(OTHER), digest_of(b"x")
        head = (
            f"HTTP/1.1 200 OK\r\nContent-Type: {OCI_MANIFEST}\r\nDocker-Content-Digest: {{}}\r\n"
            f"Docker-Content-Digest: {{}}\r\nContent-Length: {len(OTHER)}\r\n\r\n"
        )
        for first, second in ((right, wrong), (wrong, right)):
            registry.faults.clear()
            registry.faults.raw("manifests", head.format(first, second).encode() + OTHER)
            with pytest.raises(VerificationError):
                session_of(client).manifest(repository_of(registry), "v1")


@pytest.mark.parametrize("with_header", [True, False])
def test_attack_01_other_bytes_under_a_digest_are_refused(*, with_header: bool) -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        digest = registry.push_image("team/app", "v1")
        headers = {"Content-Type": OCI_MANIFEST} | ({"Docker-Content-Digest": digest} if with_header else {})
        registry.faults.answer("manifests", 200, headers, OTHER)
        with pytest.raises(VerificationError) as refused:
            session_of(client).manifest(repository_of(registry), digest)
        assert refused.value.reason is Reason.DIGEST_MISMATCH


def test_attack_01_another_blob_is_refused_wherever_it_comes_from() -> None:
    with RegistrySimulator() as registry, RegistrySimulator() as storage, client_for(registry, storage) as client:
        digest = registry.push_blob("team/app", b"payload")
        other = storage.push_blob("team/app", b"paYload")
        registry.faults.body("blobs", b"paYload", times=1)
        registry.faults.redirect("blobs", f"{storage.url}/v2/team/app/blobs/{other}")
        for _ in range(2):
            with pytest.raises(VerificationError) as refused:
                session_of(client).blob(repository_of(registry), digest, 100)
            assert refused.value.reason is Reason.DIGEST_MISMATCH


def test_attack_01_a_mirror_is_believed_no_more_than_the_registry() -> None:
    with RegistrySimulator() as registry, RegistrySimulator() as mirror:
        digest = registry.push_image("team/app", "v1")
        mirror.faults.answer("manifests", 200, {"Content-Type": OCI_INDEX, "Docker-Content-Digest": digest}, OTHER)
        with client_for(registry, mirror, mirrors={registry.host: mirror.host}) as client:
            for reference in (digest, "v1"):
                with pytest.raises(VerificationError):
                    session_of(client).manifest(repository_of(registry), reference)


@pytest.mark.parametrize("algorithm", ["v1+json", "v1+prettyjws"])
def test_attack_05_schema_1_with_a_wrong_digest_is_refused(algorithm: str) -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        media_type = f"application/vnd.docker.distribution.manifest.{algorithm}"
        digest = registry.push_manifest("team/app", "v1", OTHER, media_type)
        for reference in ("v1", digest):
            with pytest.raises(VerificationError) as refused:
                session_of(client).manifest(repository_of(registry), reference)
            assert refused.value.reason is Reason.UNSUPPORTED_IMAGE
