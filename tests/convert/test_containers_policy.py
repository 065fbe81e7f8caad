"""Conversion of a policy.json to objects with the same requirements."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealgate.api.v1alpha1.authenticator import Authenticator
from sealgate.api.v1alpha1.verification_policy import VerificationPolicy
from sealgate.convert.containers.policy import convert_containers_policy
from sealgate.errors import PolicyError, VerificationError
from sealgate.findings import Finding, Outcome
from sealgate.formats.build import build_check
from sealgate.formats.simple_signing.verify import SimpleSigningCheck
from sealgate.keys.resolvers import FileKeys
from sealgate.policies.decisions import UnmatchedImages, Verdict, decide
from sealgate.policies.matching import Namespace, PolicyIndex
from sealgate.reasons import Reason
from sealgate.references import Digest, parse_reference
from tests.support.examples import examples
from tests.support.rows import row
from tests.support.signers.simple_signing import armored_key, keyring

if TYPE_CHECKING:
    from sealgate.convert.results import Conversion

ACCEPT, REJECT = {"type": "insecureAcceptAnything"}, {"type": "reject"}
DATA = b64encode(armored_key("ed25519").encode()).decode()


PLACE, LOST = "r.example.org/a", "sha256:" + "1" * 64


def signed_by(identity: dict[str, Any] | None = None, **source: Any) -> dict[str, Any]:
    more = {} if identity is None else {"signedIdentity": identity}
    return {"type": "signedBy", "keyType": "GPGKeys", **(source or {"keyData": DATA}), **more}


def sigstore_signed(identity: dict[str, Any]) -> dict[str, Any]:
    return {"type": "sigstoreSigned", "keyData": DATA, "signedIdentity": identity}


#: What containers/image refuses when it reads a policy (signature/policy_config.go).
WRONG_IDENTITIES: list[dict[str, Any]] = [
    {"type": "exactReference", "dockerReference": "r.example.org/a"},
    {"type": "exactReference", "dockerReference": "r.example.org/A:1"},
    {"type": "exactReference", "dockerReference": "UPPER/case:INVALID:reference"},
    {"type": "exactReference", "dockerReference": ""},
    {"type": "exactRepository", "dockerRepository": "r.example.org/A"},
    {"type": "exactRepository", "dockerRepository": "r.example.org/a/"},
    *(
        {"type": "remapIdentity", "prefix": one, "signedPrefix": other}
        for wrong in (
            "",
            "/",
            "r.example.org/",
            "r.example.org/A",
            "r.example.org/a:1",
            "-r.example.org",
            "r_x/a",
            "a b",
        )
        for one, other in ((wrong, "r.example.org"), ("r.example.org", wrong))
    ),
]


def convert(docker: dict[str, Any], default: Any = REJECT, **options: Any) -> Conversion:
    return convert_containers_policy({"default": [default], "transports": {"docker": docker}}, **options)


def split(conversion: Conversion) -> tuple[dict[str, Authenticator], dict[str, VerificationPolicy]]:
    """Return the objects as models, by name: the API server and the library must accept each."""
    authenticators, policies = {}, {}
    for found in conversion.objects:
        document = json.loads(json.dumps(found))
        if found["kind"] == "Authenticator":
            authenticators[found["metadata"]["name"]] = Authenticator.model_validate(document)
        else:
            policies[found["metadata"]["name"]] = VerificationPolicy.model_validate(document)
    return authenticators, policies


def required(policy: VerificationPolicy) -> tuple[str, ...]:
    assert policy.spec.require is not None
    return policy.spec.require.authenticators


def notes(conversion: Conversion) -> str:
    return "\n".join(map(str, conversion.notes))


def test_typical_policy_becomes_one_authenticator_and_one_policy() -> None:
    conversion = convert({"registry.example.org/team": [signed_by()]})
    authenticators, policies = split(conversion)
    assert conversion.unmatched == "deny"
    (spec,) = (found.spec.simple_signing for found in authenticators.values())
    assert spec is not None
    assert spec.store.openshift is not None
    assert spec.signed_identity.match_policy == "MatchRepoDigestOrExact"
    (policy,) = policies.values()
    assert policy.spec.action == "Enforce"
    assert [image.repository for image in policy.spec.images] == [
        "registry.example.org/team",
        "registry.example.org/team/**",
    ]
    assert required(policy) == ("registry-example-org-team",)
    check: Any = build_check(authenticators["registry-example-org-team"], FileKeys({}))
    assert check.keyring.fingerprints == keyring("ed25519").fingerprints
    assert "unmatchedImages: deny" in notes(conversion)


@pytest.mark.parametrize(
    ("scope", "patterns", "tags"),
    [
        ("registry.example.org", ["registry.example.org/**"], None),
        ("registry.example.org:5000", ["registry.example.org:5000/**"], None),
        ("Registry.example.org:443", ["registry.example.org/**"], None),
        ("localhost", ["localhost/**"], None),
        ("registry.example.org/a/b", ["registry.example.org/a/b", "registry.example.org/a/b/**"], None),
        ("registry.example.org:5000/a/b:1.4", ["registry.example.org:5000/a/b"], ("1.4",)),
        ("docker.io", ["docker.io/**"], None),
        ("docker.io/openshift", ["docker.io/openshift/**"], None),
        ("docker.io/library/busybox", ["docker.io/library/busybox", "docker.io/library/busybox/**"], None),
        ("docker.io/library/busybox:latest", ["docker.io/library/busybox"], ("latest",)),
        ("*.example.org", ["*.example.org/**", "*.example.org:*/**"], None),
        ("", ["**"], None),
    ],
)
def test_every_kind_of_scope_becomes_selectors(scope: str, patterns: list[str], tags: tuple[str, ...] | None) -> None:
    conversion = convert({scope: [signed_by()]}, default=ACCEPT)
    (policy,) = split(conversion)[1].values()
    assert [image.repository for image in policy.spec.images] == patterns
    assert {image.tags for image in policy.spec.images} == {tags}
    assert policy.spec.exclude_images == ()


@pytest.mark.parametrize(
    ("identity", "expected"),
    [
        ({"type": "matchExact"}, {"matchPolicy": "MatchExact"}),
        ({"type": "matchRepoDigestOrExact"}, {"matchPolicy": "MatchRepoDigestOrExact"}),
        ({"type": "matchRepository"}, {"matchPolicy": "MatchRepository"}),
        (
            {"type": "exactReference", "dockerReference": "r.example.org/a:1"},
            {"matchPolicy": "ExactReference", "exactReference": {"reference": "r.example.org/a:1"}},
        ),
        (
            {"type": "exactRepository", "dockerRepository": "r.example.org/a"},
            {"matchPolicy": "ExactRepository", "exactRepository": {"repository": "r.example.org/a"}},
        ),
        (
            {"type": "remapIdentity", "prefix": "m.example.org", "signedPrefix": "r.example.org"},
            {
                "matchPolicy": "RemapIdentity",
                "remapIdentity": {"prefix": "m.example.org", "signedPrefix": "r.example.org"},
            },
        ),
    ],
    ids=lambda value: str(value.get("type", "")),
)
def test_every_identity_is_kept(identity: dict[str, Any], expected: dict[str, Any]) -> None:
    conversion = convert({"registry.example.org": [signed_by(identity)]})
    spec = conversion.objects[0]["spec"]["simpleSigning"]
    assert spec["signedIdentity"] == expected
    (authenticator,) = split(conversion)[0].values()
    assert build_check(authenticator, FileKeys({})).format == "simpleSigning"


def test_platform_signatures_are_accepted_like_in_the_original() -> None:
    conversion = convert({"registry.example.org": [signed_by()], "registry.example.com": [signed_by()]})
    for authenticator in split(conversion)[0].values():
        assert authenticator.spec.simple_signing is not None
        assert authenticator.spec.simple_signing.accept_platform_signatures
    assert notes(conversion).count("acceptPlatformSignatures") == 1
    assert "acceptPlatformSignatures" not in notes(convert({"registry.example.org": [REJECT]}))


def test_narrower_scopes_are_excluded_from_wider_ones() -> None:
    conversion = convert(
        {
            "": [signed_by()],
            "registry.example.org": [signed_by()],
            "registry.example.org/team": [ACCEPT],
            "registry.example.org/team/api": [signed_by({"type": "matchRepository"})],
            "registry.example.org/team/api:dev": [REJECT],
            "*.example.com": [signed_by()],
            "a.example.com": [REJECT],
        }
    )
    policies = split(conversion)[1]
    excluded = {name: [image.repository for image in found.spec.exclude_images] for name, found in policies.items()}
    assert excluded == {
        "default": ["registry.example.org/**", "*.example.com/**", "*.example.com:*/**"],
        "registry-example-org": ["registry.example.org/team", "registry.example.org/team/**"],
        "registry-example-org-team": ["registry.example.org/team/api", "registry.example.org/team/api/**"],
        "registry-example-org-team-api": ["registry.example.org/team/api"],
        "example-com": ["a.example.com/**"],
    }
    assert policies["registry-example-org-team-api"].spec.exclude_images[0].tags == ("dev",)
    assert policies["registry-example-org-team"].spec.action == "Exempt"


def test_the_docker_default_counts_before_the_global_one() -> None:
    conversion = convert({"": [ACCEPT], "registry.example.org": [signed_by()]}, default=REJECT)
    assert conversion.unmatched == "admit"
    assert list(split(conversion)[1]) == ["registry-example-org"]


def test_reject_all_needs_no_objects() -> None:
    conversion = convert_containers_policy({"default": [REJECT]})
    assert (conversion.objects, conversion.unmatched) == ((), "deny")


def test_accept_all_needs_no_objects() -> None:
    conversion = convert_containers_policy({"default": [ACCEPT]})
    assert (conversion.objects, conversion.unmatched) == ((), "admit")
    assert "admitted unverified" in notes(conversion)


def test_acceptance_among_rejection_is_an_exempt_policy() -> None:
    conversion = convert({"registry.example.org/open": [ACCEPT]})
    authenticators, policies = split(conversion)
    assert (authenticators, conversion.unmatched) == ({}, "deny")
    assert policies["registry-example-org-open"].spec.action == "Exempt"
    assert policies["registry-example-org-open"].spec.require is None


def test_several_requirements_become_separate_policies() -> None:
    vendor = signed_by({"type": "exactRepository", "dockerRepository": "vendor.example.org/product"})
    authenticators, policies = split(convert({"registry.example.org/product": [vendor, signed_by()]}))
    assert len(authenticators) == 2
    assert [required(policy) for policy in policies.values()] == [(name,) for name in authenticators]


def test_equal_requirements_share_one_authenticator() -> None:
    authenticators, policies = split(
        convert({"a.example.org": [signed_by()], "b.example.org": [signed_by(), signed_by()]})
    )
    assert len(authenticators) == 1
    assert len(policies) == 2


def test_accept_beside_a_requirement_is_ignored() -> None:
    conversion = convert({"a.example.org": [ACCEPT, signed_by()]})
    assert len(split(conversion)[1]) == 1
    assert "has no effect" in notes(conversion)


def test_rejection_beside_a_requirement_rejects() -> None:
    conversion = convert({"a.example.org": [REJECT, signed_by()]}, default=ACCEPT)
    assert "a-example-org" not in split(conversion)[1]
    assert conversion.unmatched == "deny"


def test_key_files_are_read_where_they_can_be() -> None:
    files = {
        "/keys/a": armored_key("ed25519").encode(),
        "/keys/b": b"\x99binary",
        "/keys/c": b"Key of C\n" + armored_key("rsa-2048").encode(),
    }
    one = convert({"a.example.org": [signed_by(keyPaths=["/keys/a", "/keys/c"])]}, read_file=files.__getitem__)
    (authenticator,) = split(one)[0].values()
    check: Any = build_check(authenticator, FileKeys({}))
    assert check.keyring.fingerprints == keyring("ed25519", "rsa-2048").fingerprints
    binary = convert({"a.example.org": [signed_by(keyPath="/keys/b")]}, read_file=files.__getitem__)
    assert "mWJpbmFyeQ==" in binary.objects[0]["spec"]["simpleSigning"]["keyring"]["inline"]


def unreadable(path: str) -> bytes:
    raise FileNotFoundError(path)


@pytest.mark.parametrize("read_file", [None, unreadable, lambda _: armored_key("ed25519").encode() * 1000])
def test_unreadable_key_files_become_a_secret_to_create(read_file: Any) -> None:
    conversion = convert({"a.example.org": [signed_by(keyPaths=["/etc/pki/x", "/etc/pki/y"])]}, read_file=read_file)
    (authenticator,) = split(conversion)[0].values()
    assert authenticator.spec.simple_signing is not None
    reference = authenticator.spec.simple_signing.keyring.secret_ref
    assert reference is not None
    assert (reference.name, reference.key) == ("a-example-org", "keyring.asc")
    assert "put /etc/pki/x /etc/pki/y into the Secret a-example-org under the key keyring.asc" in notes(conversion)


REGISTRIES = {
    "default-docker": {"sigstore": "https://sigstore.example.org", "sigstore-staging": "file:///staging"},
    "docker": {
        "registry.example.org": {"lookaside": "https://one.example.org", "sigstore": "https://old.example.org"},
        "registry.example.org/team/api": {"lookaside": "file:///srv/sigstore"},
        "registry.example.org/team/web:1": {"use-sigstore-attachments": True},
    },
}


@pytest.mark.parametrize(
    ("scope", "url"),
    [
        ("registry.example.org", "https://one.example.org"),
        ("registry.example.org/team", "https://one.example.org"),
        ("registry.example.org/team/api", "file:///srv/sigstore"),
        ("registry.example.org/team/api:1", "file:///srv/sigstore"),
        ("registry.example.org/team/web:1", "https://one.example.org"),
        ("other.example.org", "https://sigstore.example.org"),
        ("*.example.com", "https://sigstore.example.org"),
        ("", "https://sigstore.example.org"),
    ],
)
def test_registries_d_locates_signatures(scope: str, url: str) -> None:
    conversion = convert({scope: [signed_by()]}, registries=REGISTRIES)
    assert conversion.objects[0]["spec"]["simpleSigning"]["store"] == {"lookaside": {"url": url}}
    assert "does not say where" not in notes(conversion)


def test_without_registries_d_the_registry_is_used_and_noted() -> None:
    conversion = convert({"a.example.org": [signed_by()]}, registries={"docker": {"b.example.org": {"lookaside": "x"}}})
    assert conversion.objects[0]["spec"]["simpleSigning"]["store"] == {"openshift": {}}
    assert "does not say where signatures are stored" in notes(conversion)


def test_the_older_transport_for_openshift_is_read_as_well() -> None:
    policy = {
        "default": [REJECT],
        "transports": {
            "atomic": {
                "a.example.org": [signed_by()],
                "b.example.org": [signed_by({"type": "matchExact"})],
                "": [ACCEPT],
            },
            "docker": {"b.example.org": [ACCEPT]},
            "dir": {"": [ACCEPT]},
        },
    }
    conversion = convert_containers_policy(policy)
    authenticators, policies = split(conversion)
    assert list(authenticators) == ["a-example-org"]
    assert {name: policy.spec.action for name, policy in policies.items()} == {
        "a-example-org": "Enforce",
        "b-example-org": "Exempt",
    }
    text = notes(conversion)
    assert "transports.dir: images of a cluster are not pulled through this transport" in text
    assert 'transports.atomic["b.example.org"]: left out' in text
    assert 'transports.atomic[""]: left out' in text


@pytest.mark.parametrize("wide", ["", "a.example.org"])
def test_older_transport_is_never_weaker_than_docker(wide: str) -> None:
    older = {"a.example.org/team": [ACCEPT], "a.example.org/ops": [signed_by({"type": "matchExact"})]}
    policy = {"default": [REJECT], "transports": {"docker": {wide: [signed_by()]}, "atomic": older}}
    conversion = convert_containers_policy(policy)
    assert len(split(conversion)[1]) == 1
    for scope in older:
        assert f'transports.atomic["{scope}"]: left out: transports.docker["{wide}"]' in notes(conversion)


def test_images_accepted_only_by_the_older_transport_are_denied() -> None:
    policy = {"default": [signed_by()], "transports": {"atomic": {"a.example.org": [ACCEPT]}}}
    conversion = convert_containers_policy(policy)
    (default,) = split(conversion)[1].values()
    assert default.spec.exclude_images == ()
    assert "through the atomic transport only" in notes(conversion)


def test_signature_stores_of_narrower_scopes_are_noted() -> None:
    registries = {
        "docker": {name: {"lookaside": f"https://{name}"} for name in ("a.example.org", "a.example.org/team")}
    }
    conversion = convert({"a.example.org": [signed_by()]}, registries=registries)
    assert "give a.example.org/team a scope of its own in policy.json" in notes(conversion)
    apart = convert({"a.example.org": [signed_by()], "a.example.org/team": [signed_by()]}, registries=registries)
    stores = {found.spec.simple_signing.store.lookaside.url for found in split(apart)[0].values()}  # type: ignore[union-attr]
    assert stores == {"https://a.example.org", "https://a.example.org/team"}


@pytest.mark.parametrize(
    "requirement",
    [
        signed_by() | {"keyType": "X509Certificates"},
        signed_by({"type": "matchSomething"}),
        {"type": "signedBaseLayer", "baseLayerIdentity": {}},
        {"type": "fromTheFuture"},
        {"type": "sigstoreSigned", "keyPath": "/k"},
        {
            "type": "sigstoreSigned",
            "keyPath": "/k",
            "signedIdentity": {"type": "exactRepository", "dockerRepository": "a.example.org/b"},
        },
        {"type": "sigstoreSigned", "fulcio": {}, "rekorPublicKeyPath": "/r", "keyPath": "/k"},
    ],
    ids=lambda requirement: str(requirement)[:60],
)
def test_requirement_without_an_equivalent_rejects_and_is_noted(requirement: dict[str, Any]) -> None:
    conversion = convert({"a.example.org": [requirement]}, default=ACCEPT)
    assert "has no equivalent, so its images are rejected" in notes(conversion)
    assert conversion.unmatched == "deny"
    authenticators, policies = split(conversion)
    assert authenticators == {}
    assert {name: policy.spec.action for name, policy in policies.items()} == {"default": "Exempt"}
    assert [selector.repository for selector in policies["default"].spec.exclude_images] == ["a.example.org/**"]


@pytest.mark.parametrize("read_file", [None, lambda _: b"-----BEGIN PUBLIC KEY-----"])
def test_a_cosign_key_that_is_held_to_the_repository_is_converted(read_file: Any) -> None:
    requirement = {"type": "sigstoreSigned", "keyPath": "/k", "signedIdentity": {"type": "matchRepository"}}
    conversion = convert({"a.example.org": [requirement]}, read_file=read_file)
    (authenticator,) = split(conversion)[0].values()
    assert authenticator.spec.cosign is not None
    assert authenticator.spec.cosign.match_repository
    assert (authenticator.spec.cosign.keys[0].secret_ref is None) is (read_file is not None)


@pytest.mark.parametrize(
    "scope",
    ["registry.example.org/a@sha256:" + "1" * 64, "example*.*.com", "*.example.org/a", "host/a", "a b", "-a.org"],
)
def test_a_scope_that_no_selector_expresses_is_left_out_and_noted(scope: str) -> None:
    conversion = convert({scope: [signed_by()], "a.example.org": [signed_by()]})
    assert list(split(conversion)[1]) == ["a-example-org"]
    assert "left out" in notes(conversion)


INVALID: list[Any] = [
    None,
    [],
    {},
    {"default": []},
    {"default": {}},
    {"default": [ACCEPT], "extra": 1},
    {"default": [ACCEPT], "transports": []},
    {"default": [ACCEPT], "transports": {"docker": []}},
    {"default": [ACCEPT], "transports": {"docker": {"a.example.org": []}}},
    {"default": [ACCEPT], "transports": {"dir": {"": []}}},
    {"default": ["reject"]},
    {"default": [{}]},
    {"default": [{"type": 1}]},
    {"default": [{"type": "reject", "extra": 1}]},
    {"default": [signed_by() | {"extra": 1}]},
    {"default": [{"type": "signedBy", "keyType": "GPGKeys"}]},
    {"default": [signed_by(keyPath="/a", keyData="AAAA")]},
    {"default": [signed_by(keyPath=1)]},
    {"default": [signed_by(keyPaths=[])]},
    {"default": [signed_by(keyPaths="/a")]},
    {"default": [signed_by(keyData="%%%")]},
    {"default": [signed_by() | {"signedIdentity": "matchExact"}]},
    {"default": [signed_by({"type": "matchExact", "extra": "x"})]},
    {"default": [signed_by({"type": "exactReference"})]},
    {"default": [signed_by({"type": "exactReference", "dockerReference": 1})]},
    *({"default": [signed_by(identity)]} for identity in WRONG_IDENTITIES),
    *({"default": [sigstore_signed(identity)]} for identity in WRONG_IDENTITIES),
]


def test_invalid_policy_is_refused_with_its_field() -> None:
    for policy in INVALID:
        with row(policy):
            with pytest.raises(PolicyError) as caught:
                convert_containers_policy(policy)
            assert caught.value.problems[0].file == "policy.json"


@pytest.mark.parametrize(
    ("identity", "why"),
    [
        (WRONG_IDENTITIES[0], "neither a tag nor a digest"),
        (WRONG_IDENTITIES[1], "lower-case"),
        ({"type": "remapIdentity", "prefix": "r.example.org/A", "signedPrefix": "x.example.org"}, "is not a prefix"),
    ],
)
def test_policy_refused_by_the_tools_is_refused_with_a_reason(identity: dict[str, Any], why: str) -> None:
    with pytest.raises(PolicyError) as caught:
        convert_containers_policy({"default": [signed_by(identity)]})
    assert why in str(caught.value.problems[0])


@pytest.mark.parametrize("prefix", ["R.example.org", "index.docker.io", "r.example.org:443/a"])
def test_a_prefix_that_is_compared_otherwise_here_rejects_its_images(prefix: str) -> None:
    identity = {"type": "remapIdentity", "prefix": prefix, "signedPrefix": "r.example.org"}
    conversion = convert_containers_policy({"default": [signed_by(identity)]})
    assert (conversion.objects, conversion.unmatched) == ((), "deny")
    assert "signedIdentity" in notes(conversion)


def test_the_repository_of_an_identity_is_taken_without_its_tag() -> None:
    identity = {"type": "exactRepository", "dockerRepository": "r.example.org/a:1"}
    (authenticator,) = split(convert_containers_policy({"default": [signed_by(identity)]}))[0].values()
    spec = authenticator.spec.simple_signing
    assert spec is not None
    assert spec.signed_identity.exact_repository is not None
    assert spec.signed_identity.exact_repository.repository == "r.example.org/a"


def test_more_narrower_scopes_than_fit_are_refused() -> None:
    scopes: dict[str, Any] = {f"registry.example.org/a/x{number}": [REJECT] for number in range(129)}
    with pytest.raises(PolicyError, match="more narrower scopes"):
        convert({"registry.example.org": [signed_by()], **scopes})


def test_a_tag_lets_no_digest_in_that_the_wider_scope_rejects() -> None:
    conversion = convert({f"{PLACE}:1": [ACCEPT], "other.example.org": [signed_by()]})
    assert list(split(conversion)[1]) == ["other-example-org"]
    assert "a pod could name its tag beside any digest" in notes(conversion)
    for image in (PLACE, f"{PLACE}@{LOST}", f"{PLACE}:1@{LOST}"):
        assert not admitted(conversion, image, set())


def test_a_scope_of_one_digest_is_left_out_where_that_admits_no_more() -> None:
    for docker in (
        {f"{PLACE}@{LOST}": [ACCEPT], PLACE: [signed_by()]},
        {f"{PLACE}@{LOST}": [signed_by()], PLACE: [signed_by()]},
        {f"{PLACE}@{LOST}": [signed_by()], PLACE: [REJECT]},
    ):
        assert "left out" in notes(convert(docker, default=ACCEPT))


@pytest.mark.parametrize(
    "docker",
    [
        {f"{PLACE}@{LOST}": [REJECT]},
        {f"{PLACE}:1@{LOST}": [REJECT]},
        {f"{PLACE}@{LOST}": [signed_by(), signed_by({"type": "matchExact"})], PLACE: [signed_by()]},
        {"registry-1.docker.io": [REJECT]},
        {"registry-1.docker.io": [signed_by()], "docker.io": [ACCEPT], "": [REJECT]},
        {"registry-1.docker.io/library/a": [signed_by()], "docker.io": [ACCEPT]},
    ],
    ids=str,
)
def test_unselectable_stricter_scope_is_refused(docker: dict[str, Any]) -> None:
    with pytest.raises(PolicyError, match="requires something else than the wider scope"):
        convert(docker, default=ACCEPT)


def test_docker_hub_has_one_name_in_scopes() -> None:
    conversion = convert(
        {"index.docker.io": [ACCEPT], "registry-1.docker.io": [ACCEPT], "a.example.org": [signed_by()]}
    )
    assert list(split(conversion)[1]) == ["a-example-org"]
    assert notes(conversion).count("left out") == 2
    assert not admitted(conversion, "docker.io/library/a:1", set())


def test_default_port_is_omitted_like_in_references() -> None:
    conversion = convert({"registry:443": [signed_by()]}, default=ACCEPT)
    (policy,) = split(conversion)[1].values()
    assert [image.repository for image in policy.spec.images] == ["registry:443/**"]


@pytest.mark.parametrize("scope", ["*.example.org:443", "*.example.org:5000"])
def test_no_image_is_of_a_wildcard_with_a_port(scope: str) -> None:
    conversion = convert({"a.example.org": [signed_by()], scope: [ACCEPT]})
    assert list(split(conversion)[1]) == ["a-example-org"]
    assert not admitted(conversion, "b.example.org/a:1", set())
    assert f'transports.docker["{scope}"]: left out' in notes(conversion)


@pytest.mark.parametrize(("one", "other"), [("r.example.org", "r.example.org:443"), ("*.r.org", "*.R.org")])
def test_scopes_for_the_same_images_must_agree(one: str, other: str) -> None:
    conversion = convert({one: [signed_by()], other: [signed_by()]})
    assert len(split(conversion)[1]) == 1
    with pytest.raises(PolicyError, match="about the same images"):
        convert({one: [ACCEPT], other: [REJECT]})
    atomic = {"default": [REJECT], "transports": {"atomic": {one: [REJECT], other: [ACCEPT]}}}
    with pytest.raises(PolicyError, match="about the same images"):
        convert_containers_policy(atomic)


# The same images are admitted: compared with a plain implementation of the narrowest scope. -------------------------

KEYS = {"one": b64encode(b"\x99one").decode(), "two": b64encode(b"\x99two").decode()}
SCOPES = [
    "",
    "r.example.org",
    "r.example.org/a",
    "r.example.org/a/b",
    "r.example.org/a/b:1",
    "r.example.org/ab",
    "*.example.org",
    "*.r.example.org",
    "x.r.example.org",
    "x.r.example.org:5000",
    "docker.io",
    "docker.io/library",
    "docker.io/a",
    "docker.io/library/a:1",
]
IMAGES = [
    "r.example.org/a:1",
    "r.example.org/a/b:1",
    "r.example.org/a/b:2",
    "r.example.org/a/b/c:1",
    "r.example.org/ab:1",
    "x.r.example.org/a:1",
    "y.x.r.example.org/a:1",
    "x.r.example.org:5000/a:1",
    "r.example.org.evil.example/a:1",
    "a:1",
    "a:2",
    "a/b:1",
    "other.example/a:1",
    "r.example.org/a/b",
    f"r.example.org/a/b@{LOST}",
    f"r.example.org/a/b:1@{LOST}",
    "a",
    f"a:1@{LOST}",
]
requirements = st.lists(
    st.sampled_from([ACCEPT, REJECT, signed_by(keyData=KEYS["one"]), signed_by(keyData=KEYS["two"])]),
    min_size=1,
    max_size=3,
)


def plainly_accepted(policy: dict[str, Any], image: str, signers: set[str]) -> bool:
    reference = parse_reference(image)
    parts = reference.name.split("/")
    domains = reference.repository.registry.partition(":")[0].split(".")
    order = [
        # Beside a digest a tag counts for nothing; without either it is latest.
        reference.name if reference.digest else f"{reference.name}:{reference.effective_tag}",
        *("/".join(parts[:length]) for length in range(len(parts), 0, -1)),
        *(f"*.{'.'.join(domains[at:])}" for at in range(1, len(domains))),
        "",
    ]
    docker = policy["transports"]["docker"]
    given = next((docker[scope] for scope in order if scope in docker), policy["default"])
    return all(
        one["type"] == "insecureAcceptAnything" or (one["type"] == "signedBy" and one["keyData"] in signers)
        for one in given
    )


def admitted(conversion: Conversion, image: str, signers: set[str]) -> bool:
    authenticators, policies = split(conversion)
    reference, namespace = parse_reference(image), Namespace("default")
    results = []
    for match in PolicyIndex(policies.values()).match(reference, namespace):
        findings = []
        for name in match.policy.authenticators:
            spec = authenticators[name].spec.simple_signing
            assert spec is not None
            keys = [key for key in signers if key in (spec.keyring.inline or "")]
            outcome = (Outcome.VERIFIED, Reason.VERIFIED) if keys else (Outcome.REFUSED, Reason.NO_SIGNATURE)
            findings.append(Finding(name, "simpleSigning", *outcome, "message", tuple(keys)))
        results.append((match, findings))
    unmatched = UnmatchedImages.ADMIT if conversion.unmatched == "admit" else UnmatchedImages.DENY
    verdict = decide(image, reference, Digest("sha256:" + "1" * 64), results, unmatched)
    return verdict.verdict is Verdict.ADMIT


@settings(max_examples=examples(300), deadline=None)
@given(
    default=requirements,
    docker=st.dictionaries(st.sampled_from(SCOPES), requirements, max_size=6),
    image=st.sampled_from(IMAGES),
    signers=st.sets(st.sampled_from(sorted(KEYS.values()))),
)
def test_the_same_images_are_admitted(
    default: list[Any], docker: dict[str, Any], image: str, signers: set[str]
) -> None:
    policy = {"default": default, "transports": {"docker": docker}}
    conversion = convert_containers_policy(policy)
    reference, accepted = parse_reference(image), plainly_accepted(policy, image, signers)
    if admitted(conversion, image, signers):
        assert accepted
    elif accepted:
        shown = notes(conversion)
        whole = reference.digest is None and reference.tag is not None
        assert "a pod could name its tag beside any digest" in shown or (
            not whole and "a pod that names a digest or no tag" in shown
        )


# Identities: compared with a plain implementation of signature/policy_reference_match.go. ---------------------------

NAMES = ["r.example.org/a", "r.example.org/a/b", "r.example.org/ab", "s.example.org/a", "s.example.org/a/b"]
ENDS = ["", ":1", ":2", f"@{LOST}", f"@sha256:{'2' * 64}"]
PREFIXES = ["r.example.org", "r.example.org/a", "s.example.org", "s.example.org/a", "t.example.org"]
identities = st.one_of(
    st.sampled_from([{"type": kind} for kind in ("matchExact", "matchRepoDigestOrExact", "matchRepository")]),
    st.builds(
        lambda name, end: {"type": "exactReference", "dockerReference": name + end},
        st.sampled_from(NAMES),
        st.sampled_from(ENDS[1:]),
    ),
    st.sampled_from([{"type": "exactRepository", "dockerRepository": name} for name in NAMES]),
    st.builds(
        lambda one, other: {"type": "remapIdentity", "prefix": one, "signedPrefix": other},
        st.sampled_from(PREFIXES),
        st.sampled_from(PREFIXES),
    ),
)


def plainly_identical(identity: dict[str, Any], image: str, signed: str) -> bool:  # noqa: PLR0911 - one for each rule
    """Return whether the tools accept a signature for an image; both names are complete."""
    parsed, other = parse_reference(image), parse_reference(signed)
    bare = {name for name in (image, signed) if name in NAMES}
    match identity["type"]:
        case "matchExact":
            return not bare and image == signed
        case "matchRepoDigestOrExact":
            if parsed.tag is not None:
                return image == signed
            return parsed.digest is not None and signed not in bare and parsed.name == other.name
        case "matchRepository":
            return parsed.name == other.name
        case "exactReference":
            return bool(identity["dockerReference"] == signed)
        case "exactRepository":
            return bool(identity["dockerRepository"] == other.name)
        case _:
            prefix, replacement = identity["prefix"], identity["signedPrefix"]
            if parsed.name == prefix or parsed.name.startswith(f"{prefix}/"):
                image = replacement + image.removeprefix(prefix)
            return plainly_identical({"type": "matchRepoDigestOrExact"}, image, signed)


@settings(max_examples=examples(300), deadline=None)
@given(
    identity=identities,
    name=st.sampled_from(NAMES),
    end=st.sampled_from(ENDS[1:]),
    signed=st.builds(str.__add__, st.sampled_from([*NAMES, "t.example.org/a"]), st.sampled_from(ENDS)),
)
def test_signed_name_is_accepted_only_if_the_tools_accept_it(
    identity: dict[str, Any], name: str, end: str, signed: str
) -> None:
    (authenticator,) = split(convert_containers_policy({"default": [signed_by(identity)]}))[0].values()
    check = build_check(authenticator, FileKeys({}))
    assert isinstance(check, SimpleSigningCheck)
    try:
        check.identity.require(parse_reference(name + end), parse_reference(signed))
    except VerificationError:
        taken = False
    else:
        taken = True
    assert taken == plainly_identical(identity, name + end, signed)
