"""Images that a peer's own program denied are not admitted by its policies as they are converted.

`tests/data/peers` has the images, realistic policies of each peer, and what its program said about them; `record.py`
there records it. Where both differ, a note of the converter says so.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from sealgate.convert.portieris.trust import UNKNOWN_ROOT
from tests.cli.objects import write
from tests.cli.running import sealgate
from tests.support.builders.peers import DATA, PEERS, REGISTRY, TRUSTED_ROOT, serve_images
from tests.support.signers.notary import key_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from click.testing import Result

    from tests.support.builders.peers import PeerRegistry

CASES = [(name, policy) for name, peer in PEERS.items() for policy in peer.files]


@dataclass(frozen=True)
class Difference:
    """What sealgate says otherwise than a peer.

    Attributes:
        notes: a part of each note of the converter that says so.
        denied: images that only sealgate denies.
        admitted: images that only sealgate admits. The signer is the one that the policy names, but the peer does not
            read its signature from where it is, goes by another one beside it, or wants it of each platform; or the
            peer admits them by tag.
    """

    notes: tuple[str, ...] = ()
    denied: frozenset[str] = frozenset()
    admitted: frozenset[str] = frozenset()


SAME = Difference()
STORAGES = "count wherever cosign stores them"
COPIED = "the copied signature of another image"
INDEX = "signature of the index, which names the manifests"
BOTH = "here both must be met"
RATIFY = "goes by the last of several signatures, and admits an image that has the copied signature"
#: It has a valid signature by the key of the policy, and a later one by another key, which is what Ratify goes by.
LAST = frozenset({"key/both"})
DIFFERENCES = {
    **{
        ("containers-sigstore", policy): Difference((INDEX,), admitted=frozenset({"key/index"}))
        for policy in ("sigstore", "scopes")
    },
    **{
        (name, policy): Difference((INDEX,), admitted=frozenset({"key/index"}))
        for name in ("openshift", "openshift-team")
        for policy in ("key", "scopes")
    },
    **{
        (name, "identities"): Difference(("not as ExactRepository does",), denied=frozenset({"key/renamed"}))
        for name in ("openshift", "openshift-team")
    },
    ("openshift", "namespace-wildcard"): Difference((INDEX,), admitted=frozenset({"key/index"})),
    ("openshift-team", "own-only"): Difference((INDEX,), admitted=frozenset({"key/index"})),
    ("openshift-team", "namespace-tags"): Difference((BOTH,), denied=frozenset({"key/stranger"})),
    ("openshift-team", "namespace-wildcard"): Difference(
        (INDEX, BOTH), denied=frozenset({"key/stranger"}), admitted=frozenset({"key/index"})
    ),
    **{
        ("kyverno", policy): Difference((STORAGES,), admitted=frozenset({"key/bundle"}))
        for policy in ("key", "any-of-two", "two-sets")
    },
    ("kyverno", "skipped"): Difference(
        (STORAGES, "skipImageReferences", "has no exact equivalent"),
        denied=frozenset({"key/unsigned"}),
        admitted=frozenset({"key/bundle"}),
    ),
    ("kyverno-images", "attestation"): Difference(
        ("under the .att tag",), admitted=frozenset({"attested/signed", "attested/slsa"})
    ),
    ("kyverno", "attestation"): Difference((STORAGES,), admitted=frozenset({"attested/bundle"})),
    ("kyverno", "bundle"): Difference(
        (STORAGES,), admitted=frozenset({"key/annotated", "key/both", "key/classic", "key/index", "key/renamed"})
    ),
    ("kyverno", "one-key-twice"): Difference(
        ("listed more than once",),
        denied=frozenset({"key/annotated", "key/classic", "key/index", "key/renamed"}),
    ),
    ("kyverno", "tags"): Difference(
        ("the policy covers every tag",), denied=frozenset({"key/elsewhere", "key/stranger", "key/unsigned"})
    ),
    **{
        ("connaisseur", policy): Difference(
            (COPIED, "does not read bundles"), denied=frozenset({"key/copied"}), admitted=frozenset({"key/bundle"})
        )
        for policy in ("key", "any", "most-specific")
    },
    **{
        ("ratify", policy): Difference(
            (RATIFY, "does not read bundles"),
            denied=frozenset({"key/copied"}),
            admitted=frozenset({"key/bundle"}) | both,
        )
        for policy, both in (("any-key", frozenset()), ("key", LAST))
    },
    ("ratify", "scopes"): Difference((RATIFY,), denied=frozenset({"key/copied"}), admitted=LAST),
    ("ratify", "both"): Difference(
        ("a signature for each of the verifiers",),
        denied=frozenset({"key/annotated", "key/classic", "key/copied", "key/index", "key/renamed"}),
    ),
    ("ratify", "all"): Difference(
        ("asks for all signatures",), denied=frozenset({"notation/cose", "notation/release"})
    ),
    **{
        ("connaisseur", policy): Difference(("runs the digest that Notary names",), denied=frozenset({"notary/moved"}))
        for policy in ("notary", "notary-delegations")
    },
    ("portieris-notary", "trust"): Difference(
        ("trusts the root that it sees first", "runs the digest that Notary names", "and none if neither"),
        denied=frozenset({"notary/moved", "notary/stranger", "notary/unreleased"}),
    ),
    ("portieris-notary", "signers"): Difference(
        ("trusts the root that it sees first", "runs the digest that Notary names"),
        denied=frozenset({"notary/moved", "notary/stranger"}),
    ),
    ("portieris", "tags"): Difference(("a digest's tag is not known",), denied=frozenset({"simple/release"})),
    ("portieris-digests", "names"): Difference(
        ("digests that are signed as it asks are admitted", "digests are exempt as well"),
        admitted=frozenset({"simple/other-tag", "simple/release", "simple/renamed", "simple/unsigned"}),
    ),
    ("policy-controller", "key"): Difference((STORAGES,), admitted=frozenset({"key/bundle"})),
    ("policy-controller", "any-authority"): Difference((STORAGES,), admitted=frozenset({"key/bundle"})),
    ("policy-controller", "attestation"): Difference((STORAGES,), admitted=frozenset({"attested/bundle"})),
    ("policy-controller", "keyless-attestation"): Difference(
        (STORAGES,), admitted=frozenset({"attestation/rekor1", "attestation/rekor2"})
    ),
    ("policy-controller", "bundle"): Difference(
        ("refuses all images for a key with signatureFormat: bundle",),
        admitted=frozenset({"key/annotated", "key/both", "key/bundle", "key/classic", "key/index", "key/renamed"}),
    ),
    ("policy-controller", "attestation-cue"): Difference(
        ("policy in CUE or Rego has no equivalent",), denied=frozenset({"attested/signed", "attested/slsa"})
    ),
    ("policy-controller", "log-without-url"): Difference(
        ("ignores a ctlog without url",),
        denied=frozenset({"key/annotated", "key/both", "key/classic", "key/index", "key/renamed"}),
    ),
}
ROOT = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "sigstore-root"},
    "stringData": {"trusted_root.json": TRUSTED_ROOT.read_text()},
}


@pytest.fixture(scope="module")
def registry() -> Iterator[PeerRegistry]:
    with serve_images() as simulator:
        yield simulator


@pytest.mark.parametrize(("name", "policy"), CASES)
def test_converted_policies_admit_what_the_peer_admitted(
    registry: PeerRegistry, tmp_path: Path, name: str, policy: str
) -> None:
    peer = PEERS[name]
    recorded: dict[str, str] = peer.verdicts()["policies"][policy]
    source = tmp_path / peer.files[policy].name
    source.write_text(peer.policy(peer.files[policy], registry.host, registry.url))
    converted = sealgate("policy", "convert", source, "--trusted-root", TRUSTED_ROOT)
    assert converted.exit_code == 0, converted.stderr
    images = {peer.image(repository, registry.host): repository for repository in recorded}
    by_peer = {repository for repository, denial in recorded.items() if not denial}
    secrets = [copy for one in yaml.load_all(source.read_text(), yaml.CSafeLoader) for copy in copies(one)]
    by_us = {images[image] for image in admitted(converted, images, secrets, peer.namespace, registry.host, tmp_path)}
    difference = DIFFERENCES.get((name, policy), SAME)
    assert by_us - by_peer == difference.admitted
    assert by_peer - by_us == difference.denied
    assert all(note in converted.stderr for note in difference.notes)
    assert difference == SAME or difference.notes


def copies(given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a Secret beside Portieris' policies under both names that the converter may ask for; else nothing."""
    if given.get("kind") != "Secret":
        return []
    metadata = given["metadata"]
    names = (metadata["name"], f"{metadata['namespace']}.{metadata['name']}")
    return [{**given, "metadata": {"name": name}} for name in names]


def notary_root() -> str:
    """Return the ID of the root key of the recorded trust data, which a note of the converter asks for."""
    key = load_pem_public_key((DATA / "keys" / "notary-first.pub").read_bytes())
    return key_id("ecdsa", key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def admitted(
    converted: Result,
    images: Iterable[str],
    secrets: Iterable[Mapping[str, Any]],
    namespace: str,
    host: str,
    folder: Path,
) -> set[str]:
    """Return the images that converted policies admit, as the converter says that they are to be used."""
    unmatched = re.search(r"unmatchedImages: (admit|deny)", converted.stderr)
    if not any(yaml.load_all(converted.stdout, yaml.CSafeLoader)):
        assert unmatched is not None
        assert unmatched[1] == "deny"
        return set()
    (folder / "policies.yaml").write_text(converted.stdout.replace(UNKNOWN_ROOT, notary_root()))
    beside = write(folder / "beside.yaml", ROOT, *secrets)
    ran = sealgate(
        *("verify", *images, "--policies", folder / "policies.yaml", "--policies", beside),
        *("--namespace", namespace, "--namespace-label", f"kubernetes.io/metadata.name={namespace}"),
        *("--unmatched", unmatched[1] if unmatched else "admit", "--insecure-registry", host, "--output", "json"),
        *("--registry-mirror", f"{REGISTRY}={host}"),
    )
    answers: list[dict[str, Any]] = json.loads(ran.stdout)
    return {one["image"] for one in answers if one["verdict"] in {"admit", "warn"}}


@pytest.mark.parametrize("name", PEERS)
def test_recordings_are_about_all_policies(name: str) -> None:
    recording = PEERS[name].verdicts()
    assert set(recording["policies"]) == set(PEERS[name].files)
    assert {not denial for recorded in recording["policies"].values() for denial in recorded.values()} == {True, False}
    assert re.fullmatch(rf"{name} [0-9]+\.[0-9]+\.[0-9]+", recording["tool"])


def test_every_recording_is_compared() -> None:
    assert {path.parent.name for path in DATA.glob("*/verdicts.json")} == set(PEERS)
    assert set(DIFFERENCES) <= set(CASES)
