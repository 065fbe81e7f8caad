"""Agreement with gpg and skopeo: what they sign verifies, and what they refuse does not."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from sealgate.clocks import Deadline, SystemClock
from sealgate.errors import VerificationError
from sealgate.formats.interface import Image, Sources
from sealgate.keys.openpgp.keyring import load_keyring
from sealgate.keys.openpgp.self_signatures import CLOCK_SKEW
from sealgate.reasons import Reason
from sealgate.references import parse_reference
from tests.formats.simple_signing.test_messages import EVERY_MESSAGE
from tests.support.environments.registry_clients import client_for, session_of
from tests.support.environments.simple_signing import SimpleSigningEnvironment, rule, simple_check
from tests.support.real_tools.gpg_home import Home, gpg_home
from tests.support.signers.simple_signing import DATA, REFERENCE, keyring, message
from tests.support.simulators.openshift import OpenShiftSimulator
from tests.support.simulators.registry import digest_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sealgate.findings import Verified
    from sealgate.formats.simple_signing.verify import SimpleSigningCheck
    from sealgate.references import Digest

pytestmark = pytest.mark.real
#: What gpg finds good and sealgate refuses all the same: weak keys and digests, forms other than one binary
#: message, keys that may not sign by now, and critical notations that no implementation knows.
STRICTER = {
    "armored",
    "by-dsa-1024-too-short",
    "by-ecdsa-brainpool-unsupported-curve",
    "by-ecdsa-secp256k1-unsupported-curve",
    "by-rsa-1024-too-short",
    "cleartext",
    "followed-by-bytes",
    "ripemd160-digest",
    "sha1-digest",
    "text-mode",
}
#: What skopeo accepts and sealgate refuses all the same.
STRICTER_THAN_SKOPEO = {"armored", "payload-not-utf8"}


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with gpg_home(tmp_path / "gnupg") as home:
        yield home


@pytest.mark.parametrize("kind", ["rsa2048", "ed25519", "nistp256", "nistp384"])
def test_fresh_gpg_signature_is_verified(home: Home, kind: str) -> None:
    fingerprint = home.key(kind=kind)
    signed = home.run("--sign", data=b"hello")
    verified = load_keyring(home.export(fingerprint)).verify(signed, datetime.now(UTC))
    assert verified.payload == b"hello"
    assert verified.signing_fingerprint == verified.primary_fingerprint == fingerprint


@pytest.mark.parametrize("minutes", [2, 30])
def test_key_from_a_clock_slightly_ahead_is_accepted(home: Home, minutes: int) -> None:
    """The key is created with a clock that is `minutes` ahead; clocks rarely differ by more than 5.

    The clock stands still ("!"): on a busy machine the key could otherwise be made later than its signature.
    """
    ahead = (datetime.now(UTC) + timedelta(minutes=minutes)).strftime("--faked-system-time=%Y%m%dT%H%M%S!")
    home.run(ahead, "--quick-gen-key", "release@example.org", "ed25519", "sign", "1d")
    signed = home.run(ahead, "--sign", data=b"hello")
    keys = load_keyring(home.export("release@example.org"))
    if minutes < CLOCK_SKEW / timedelta(minutes=1):
        assert keys.verify(signed, datetime.now(UTC)).payload == b"hello"
    else:
        with pytest.raises(VerificationError, match="from the future"):
            keys.verify(signed, datetime.now(UTC))
    (state,) = keys.states(datetime.now(UTC) + timedelta(days=2))
    assert state.reason is Reason.EXPIRED


def test_a_key_renewed_by_a_clock_that_is_ahead_is_used_on(home: Home) -> None:
    fingerprint = home.key()
    signed = home.run("--sign", data=b"hello")
    ahead = (datetime.now(UTC) + timedelta(minutes=2)).strftime("--faked-system-time=%Y%m%dT%H%M%S")
    home.run(ahead, "--quick-set-expire", fingerprint, "2d")
    keys = load_keyring(home.export(fingerprint))
    assert keys.verify(signed, datetime.now(UTC)).payload == b"hello"


@pytest.mark.parametrize(("digest", "good"), [("SHA512", True), ("SHA1", False)])
def test_a_key_renewed_since_does_not_carry_a_weak_digest(home: Home, digest: str, good: bool) -> None:  # noqa: FBT001 - a parameter
    """The library cannot judge signatures that are older than the key's only self-signature."""
    made, used = (
        (datetime.now(UTC) - timedelta(hours=hours)).strftime("--faked-system-time=%Y%m%dT%H%M%S") for hours in (2, 1)
    )
    home.run(made, "--quick-gen-key", "release@example.org", "rsa2048", "sign", "1d")
    signed = home.run(used, "--digest-algo", digest, "--sign", data=b"hello")
    listing = home.run("--with-colons", "--list-keys").decode()
    home.run("--quick-set-expire", listing.partition("\nfpr:")[2].split(":")[8], "2d")
    keys = load_keyring(home.export("release@example.org"))
    if good:
        assert keys.verify(signed, datetime.now(UTC)).payload == b"hello"
    else:
        with pytest.raises(VerificationError, match="hash algorithm"):
            keys.verify(signed, datetime.now(UTC))


def test_a_key_revoked_by_gpg_is_not_used_any_more(home: Home) -> None:
    fingerprint = home.key()
    signed = home.run("--sign", data=b"hello")
    revocation = (home.path / "openpgp-revocs.d" / f"{fingerprint}.rev").read_bytes().replace(b":---", b"---")
    home.run("--import", data=revocation)
    with pytest.raises(VerificationError) as caught:
        load_keyring(home.export(fingerprint)).verify(signed, datetime.now(UTC))
    assert caught.value.reason is Reason.REVOKED


def test_signature_that_gpg_rejects_never_verifies(home: Home) -> None:
    keys = sorted(path.stem for path in (DATA / "keys").glob("*.asc"))
    home.run("--import", data="".join((DATA / "keys" / f"{name}.asc").read_text() for name in keys).encode())
    usable = [name for name in keys if _loads(name)]
    ring, now = keyring(*usable), datetime(2025, 1, 1, tzinfo=UTC)
    good, accepted = set(), set()
    for name in EVERY_MESSAGE:
        status = home.run(
            "--faked-system-time=20250101T000000!", "--status-fd=1", "--output=/dev/null", "--decrypt",
            data=message(name), check=False,
        ).decode(errors="replace")  # fmt: skip
        words = [line.split()[1] for line in status.splitlines() if line.startswith("[GNUPG:]")]
        if words.count("GOODSIG") == words.count("VALIDSIG") == 1 and "NEWSIG" in words:
            good.add(name)
        try:
            ring.verify(message(name), now)
        except VerificationError:
            continue
        accepted.add(name)
    assert accepted <= good
    assert good - accepted == STRICTER


def _loads(name: str) -> bool:
    from sealgate.errors import InvalidKeyError

    try:
        keyring(name)
    except InvalidKeyError:
        return False
    return True


def test_identity_that_skopeo_refuses_never_verifies(home: Home) -> None:
    home.run("--import", data=(DATA / "keys" / "ed25519.asc").read_bytes())
    home.run("--import", data=(DATA / "keys" / "skopeo.asc").read_bytes())
    check = simple_check("ed25519", "skopeo", signedIdentity=rule("MatchExact"))
    names = [name for name in EVERY_MESSAGE if name.startswith(("payload-", "skopeo-", "good-ed", "armored", "one-"))]
    good, accepted = set(), set()
    for name in names:
        signer = keyring("skopeo" if name.startswith("skopeo-") else "ed25519").fingerprints[0]
        path = DATA / "messages" / f"{name}.sig"
        arguments = ["standalone-verify", str(DATA / "manifest.json"), REFERENCE, signer, str(path)]
        if home.skopeo(*arguments, check=False) == 0:
            good.add(name)
        with SimpleSigningEnvironment() as environment:
            environment.registry.sign(environment.digest, message(name))
            with suppress(VerificationError):
                accepted.update([name] if environment.verify(check).fingerprints == (signer,) else [])
    assert accepted <= good
    assert good - accepted == STRICTER_THAN_SKOPEO


def verify_now(check: SimpleSigningCheck, registry: OpenShiftSimulator, text: str) -> Verified:
    clock = SystemClock()
    with client_for(registry) as client:
        session = session_of(client)
        reference = parse_reference(text)
        digest = session.manifest(reference.repository, reference.effective_tag or "").digest
        deadline = Deadline.after(clock, 30)
        return check.verify(Image(reference, digest), Sources(session, client.services(deadline), clock, deadline))


def push_signed(home: Home, registry: OpenShiftSimulator, fingerprint: str, *options: str) -> str:
    """Have skopeo copy an image and sign the copy; return the copy's name."""
    registry.push_image("team/source", "1")
    image = f"{registry.host}/team/api:1.4"
    plain = ["--src-tls-verify=false", "--dest-tls-verify=false"]
    home.skopeo(
        *options, "--insecure-policy", "copy", *plain, "--sign-by", fingerprint,
        f"docker://{registry.host}/team/source:1", f"docker://{image}",
    )  # fmt: skip
    return image


def test_skopeo_signature_through_the_extension_is_verified(home: Home) -> None:
    with OpenShiftSimulator() as registry:
        fingerprint = home.key("skopeo@example.org", "rsa2048")
        image = push_signed(home, registry, fingerprint)
        assert [path for path in registry.paths if path.startswith("/extensions/")]
        found = verify_now(simple_check(home.export(fingerprint)), registry, image)
        assert found.fingerprints == (fingerprint,)


def test_skopeo_signature_beside_the_registry_is_verified(home: Home, tmp_path: Path) -> None:
    folder, configuration = tmp_path / "sigstore", tmp_path / "registries.d"
    configuration.mkdir()
    folder.mkdir()
    with OpenShiftSimulator() as registry:
        registry.faults.header("^/v2/$", "X-Registry-Supports-Signatures", None)
        lookaside = json.dumps({"docker": {registry.host: {"sigstore": folder.as_uri()}}})
        (configuration / "default.yaml").write_text(lookaside)
        fingerprint = home.key("skopeo@example.org", "rsa2048")
        image = push_signed(home, registry, fingerprint, "--registries.d", str(configuration))
        check = simple_check(home.export(fingerprint), store={"lookaside": {"url": folder.as_uri()}})
        assert verify_now(check, registry, image).fingerprints == (fingerprint,)


@pytest.mark.parametrize(("name", "accepted"), [("good-ed25519", True), ("skopeo-tag", False)])
def test_skopeo_reads_from_the_simulator_as_from_a_server(
    home: Home,
    tmp_path: Path,
    name: str,
    accepted: bool,  # noqa: FBT001 - a column of the table
) -> None:
    with SimpleSigningEnvironment() as environment:
        registry = environment.registry
        registry.push_blob("team/api", b"")
        digest = registry.push_image("team/api", "1.4")
        registry.sign(digest, _message_for(home, registry, digest) if accepted else message(name))
        key = tmp_path / "key.asc"
        key.write_text(home.export("release@example.org") if accepted else (DATA / "keys/ed25519.asc").read_text())
        policy = tmp_path / "policy.json"
        policy.write_text(json.dumps({"default": [{"type": "signedBy", "keyType": "GPGKeys", "keyPath": str(key)}]}))
        source, target = f"docker://{registry.host}/team/api:1.4", f"dir:{tmp_path / 'out'}"
        code = home.skopeo("--policy", str(policy), "copy", "--src-tls-verify=false", source, target, check=False)
        assert (code == 0) is accepted


def push_index_signed(home: Home, registry: OpenShiftSimulator, fingerprint: str, *options: str) -> tuple[str, Digest]:
    """Have skopeo copy an index of two platforms, all of it, and sign; return the copy's name and digest."""
    source = registry.push_index(
        "team/source", "1", tuple(registry.push_image("team/source", None, content=name) for name in (b"one", b"two"))
    )
    image = f"{registry.host}/team/api:1.4"
    plain = ["--src-tls-verify=false", "--dest-tls-verify=false"]
    home.skopeo(
        *options, "--insecure-policy", "copy", "--all", *plain, "--sign-by", fingerprint,
        f"docker://{registry.host}/team/source@{source}", f"docker://{image}",
    )  # fmt: skip
    return image, digest_of(registry.manifest("team/api", "1.4")[1])


def platforms_of(registry: OpenShiftSimulator) -> list[str]:
    return [entry["digest"] for entry in json.loads(registry.manifest("team/api", "1.4")[1])["manifests"]]


def test_skopeo_signatures_of_index_and_platforms_are_verified(home: Home) -> None:
    with OpenShiftSimulator() as registry:
        fingerprint = home.key("skopeo@example.org", "rsa2048")
        image, index = push_index_signed(home, registry, fingerprint)
        assert sorted(registry.signatures) == sorted([index, *platforms_of(registry)])
        only, either = (
            simple_check(home.export(fingerprint), acceptPlatformSignatures=platforms) for platforms in (False, True)
        )
        assert len(verify_now(only, registry, image).signatures) == 1
        assert len(verify_now(either, registry, image).signatures) == 1
        del registry.signatures[index]
        with pytest.raises(VerificationError):
            verify_now(only, registry, image)
        found = verify_now(either, registry, image)
        assert (found.fingerprints, len(found.signatures)) == ((fingerprint,), 2)
        del registry.signatures[platforms_of(registry)[1]]
        with pytest.raises(VerificationError):
            verify_now(either, registry, image)


def test_skopeo_signatures_in_a_lookaside_store_are_verified(home: Home, tmp_path: Path) -> None:
    folder, configuration = tmp_path / "sigstore", tmp_path / "registries.d"
    configuration.mkdir()
    folder.mkdir()
    with OpenShiftSimulator() as registry:
        registry.faults.header("^/v2/$", "X-Registry-Supports-Signatures", None)
        lookaside = json.dumps({"docker": {registry.host: {"sigstore": folder.as_uri()}}})
        (configuration / "default.yaml").write_text(lookaside)
        fingerprint = home.key("skopeo@example.org", "rsa2048")
        image, index = push_index_signed(home, registry, fingerprint, "--registries.d", str(configuration))
        (folder / "team" / f"api@{index.replace(':', '=')}" / "signature-1").unlink()
        store = {"lookaside": {"url": folder.as_uri()}}
        with pytest.raises(VerificationError):
            verify_now(simple_check(home.export(fingerprint), store=store), registry, image)
        either = simple_check(home.export(fingerprint), store=store, acceptPlatformSignatures=True)
        assert verify_now(either, registry, image).fingerprints == (fingerprint,)


def test_skopeo_checks_only_the_platform_that_it_pulls(home: Home, tmp_path: Path) -> None:
    """For this reason `sealgate policy convert` accepts platform signatures."""
    with OpenShiftSimulator() as registry:
        fingerprint = home.key("skopeo@example.org", "rsa2048")
        image, index = push_index_signed(home, registry, fingerprint)
        key, policy = tmp_path / "key.asc", tmp_path / "policy.json"
        key.write_text(home.export(fingerprint))
        policy.write_text(json.dumps({"default": [{"type": "signedBy", "keyType": "GPGKeys", "keyPath": str(key)}]}))

        def pull() -> int:
            return home.skopeo(
                "--policy", str(policy), "--override-os=linux", "--override-arch=amd64", "copy",
                "--src-tls-verify=false", f"docker://{image}", f"dir:{tmp_path / 'out'}", check=False,
            )  # fmt: skip

        amd64, arm64 = platforms_of(registry)
        signature = registry.signatures.pop(index)
        del registry.signatures[arm64]
        assert pull() == 0
        del registry.signatures[amd64]
        registry.signatures[index] = signature
        assert pull() != 0


def _message_for(home: Home, registry: OpenShiftSimulator, digest: str) -> bytes:
    from tests.support.signers.simple_signing import payload

    home.key()
    return home.run("--sign", data=payload(digest, f"{registry.host}/team/api:1.4"))
