"""Signatures by identities, and by keys with a transparency log, found in a registry."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from sealgate.errors import InvalidKeyError, InvalidPatternError, VerificationError
from sealgate.reasons import Reason
from sealgate.sigstore.public_good import read_origin, read_public_good_root
from sealgate.sigstore.trusted_root import parse_trusted_root
from tests.support.environments.cosign import REPOSITORY
from tests.support.signers.cosign import BundleOf, Classic, push_bundle, push_classic, push_referrer
from tests.support.signers.keyless import (
    IDENTITY,
    JANE,
    KEY,
    ROOT,
    SIGSTORE,
    V2,
    bundle,
    by_key,
    classic,
    keyless,
    keyless_check,
    logged,
)
from tests.support.signers.private_keys import fingerprint, public_pem
from tests.support.signers.sigstore import ISSUER, SUBJECT, Recipe, make_sigstore, pae
from tests.support.simulators.http_messages import encode

if TYPE_CHECKING:
    from tests.support.environments.cosign import CosignEnvironment


@pytest.mark.parametrize("push", [push_classic, push_referrer])
def test_classic_layer_by_an_identity_verifies(environment: CosignEnvironment, push: Any) -> None:
    push(environment.registry, REPOSITORY, classic(environment.digest))
    found = environment.ask(keyless_check(keyless()))
    assert found.fingerprints == (IDENTITY,)
    assert found.signatures[0].message.startswith(f"made by {SUBJECT} (issuer {ISSUER}) at 2026-06-01 12:00:00 UTC")


@pytest.mark.parametrize(("version", "recipe"), [("0.1", Recipe()), ("0.2", Recipe()), ("0.3", Recipe()), ("0.3", V2)])
def test_bundle_by_an_identity_verifies(environment: CosignEnvironment, version: str, recipe: Recipe) -> None:
    made = bundle(environment.digest, recipe, version)
    media_type = made.document()["mediaType"]
    push_bundle(environment.registry, REPOSITORY, made, layer_type=media_type, artifactType=media_type)
    assert environment.ask(keyless_check(keyless())).fingerprints == (IDENTITY,)


def test_several_signatures_of_one_identity_are_one_signer(environment: CosignEnvironment) -> None:
    push_classic(environment.registry, REPOSITORY, classic(environment.digest), classic(environment.digest))
    push_bundle(environment.registry, REPOSITORY, bundle(environment.digest, V2))
    any_mail = {"issuerRegExp": "https://.*", "subjectRegExp": ".*"}
    found = environment.ask(keyless_check(keyless(any_mail)))
    assert found.fingerprints == (IDENTITY,)
    assert len(found.signatures) == 3


def test_keys_and_identities_are_accepted_side_by_side(environment: CosignEnvironment) -> None:
    push_classic(environment.registry, REPOSITORY, Classic(environment.digest, KEY), classic(environment.digest))
    found = environment.ask(keyless_check(keyless(keys=[{"pem": public_pem(KEY)}])))
    assert found.fingerprints == (fingerprint(KEY), IDENTITY)


def test_search_ends_when_the_one_identity_has_verified(environment: CosignEnvironment) -> None:
    push_classic(environment.registry, REPOSITORY, classic(environment.digest))
    environment.ask(keyless_check(keyless()))
    assert not [request for request in environment.registry.requests if "referrers" in request.path]


def test_trusted_root_may_be_in_a_secret(environment: CosignEnvironment) -> None:
    push_classic(environment.registry, REPOSITORY, classic(environment.digest))
    reference = {"secretRef": {"name": "sigstore", "key": "trusted_root.json"}}
    made = keyless_check(keyless(trustedRoot=reference), {"sigstore": {"trusted_root.json": ROOT.encode()}})
    assert environment.ask(made).fingerprints == (IDENTITY,)


def test_shipped_root_is_that_of_the_public_services(environment: CosignEnvironment) -> None:
    push_classic(environment.registry, REPOSITORY, classic(environment.digest))
    with pytest.raises(VerificationError, match="which the trusted root does not have") as refusal:
        environment.ask(keyless_check(keyless(trustedRoot={"source": "PublicGood"})))
    assert refusal.value.reason == Reason.UNKNOWN_KEY
    root = parse_trusted_root(read_public_good_root())
    hosts = {log.host for log in root.logs}
    assert {"rekor.sigstore.dev", "log2025-1.rekor.sigstore.dev"} <= hosts
    assert {authority.name for authority in root.authorities} == {"https://fulcio.sigstore.dev"}


def test_shipped_root_says_where_it_came_from() -> None:
    package, date = read_origin()
    assert package.startswith("sigstore ")
    assert datetime.fromisoformat(date) >= datetime(2026, 10, 20)  # noqa: DTZ001 - a day


def test_key_in_the_log_verifies(environment: CosignEnvironment) -> None:
    plain = Classic(environment.digest, KEY)
    payload = encode(plain.document())
    signed = by_key(payload, None)
    layer = replace(plain, payload=payload, signature=signed.made.signature, annotations=signed.annotations())
    push_classic(environment.registry, REPOSITORY, layer)
    assert environment.ask(keyless_check(logged())).fingerprints == (fingerprint(KEY),)


@pytest.mark.parametrize("recipe", [Recipe(), V2])
def test_bundle_by_a_key_in_the_log_verifies(environment: CosignEnvironment, recipe: Recipe) -> None:
    plain = BundleOf(environment.digest, KEY)
    payload = encode(plain.statement())
    signed = by_key(pae(payload), payload, recipe)
    signatures = [{"sig": base64.b64encode(signed.made.signature).decode()}]
    push_bundle(environment.registry, REPOSITORY, replace(plain, material=signed.material(), signatures=signatures))
    assert environment.ask(keyless_check(logged())).fingerprints == (fingerprint(KEY),)


def test_content_is_of_everything_that_decides() -> None:
    other_root = json.dumps(make_sigstore("other").trusted_root())
    specs = [
        keyless(),
        keyless({**JANE, "subject": "joe@example.com"}),
        keyless({"issuerRegExp": ISSUER, "subject": SUBJECT}),
        keyless({**JANE, "sourceRepositoryRef": "refs/heads/main"}),
        keyless({**JANE, "githubWorkflowRef": "refs/heads/main"}),
        keyless(requireTransparencyLog=False),
        keyless(keys=[{"pem": public_pem(KEY)}]),
        keyless(keys=[{"pem": public_pem(KEY)}], requireTransparencyLog=True),
        keyless(trustedRoot={"inline": other_root}),
        logged(),
        logged(trustedRoot={"inline": other_root}),
        {"cosign": {"keys": [{"pem": public_pem(KEY)}]}},
    ]
    assert len({keyless_check(spec).content for spec in specs}) == len(specs)
    assert keyless_check(keyless()).content == keyless_check(keyless(requireTransparencyLog=True)).content
    assert keyless_check(keyless(JANE, JANE)).content == keyless_check(keyless()).content


def test_signers_that_the_policy_does_not_list_are_not_known_beforehand() -> None:
    assert keyless_check(keyless()).keys_at(datetime.now(UTC)) is None
    keys = keyless_check(logged()).keys_at(datetime.now(UTC))
    assert keys is not None
    assert [key.fingerprint for key in keys] == [fingerprint(KEY)]


@pytest.mark.parametrize(
    ("root", "says"),
    [
        ("{{", "not JSON"),
        ("[]", "should be an object"),
        ("{}", "mediaType is missing"),
        (ROOT.replace("version=0.1", "version=9"), "media type"),
        (ROOT.replace('"tlogs"', '"other"'), "unknown member other"),
        (ROOT.replace('"ctlogs": [{', '"ctlogs": [{"surprise": 1, '), "unknown member surprise"),
        (ROOT.replace("2026-01-01T00:00:00Z", "2026-01-01T00:00:00"), "no time zone"),
        (ROOT.replace("2026-01-01T00:00:00Z", "soon"), "not a time"),
        (json.dumps(SIGSTORE.trusted_root(rekor1={"end": "2027-01-01T00:00:00Z"})), "start is missing"),
        (json.dumps(SIGSTORE.trusted_root(ca={})), "start is missing"),
        (ROOT.replace('"validFor"', '"other"'), "unknown member other"),
        (
            ROOT.replace(', "validFor": {"start": "2026-01-01T00:00:00Z", "end": "2027-01-01T00:00:00Z"}', ""),
            "validFor",
        ),
        (ROOT.replace("https://rekor", "rekor"), "no host"),
        (ROOT.replace('"keyId": "', '"keyId": "AAAA'), "4 to 32 bytes"),
        (ROOT.replace('"certificates": [{"rawBytes": "MII', '"certificates": [{"rawBytes": "AII'), "cannot be read"),
        (json.dumps({"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1"}), "nothing in it"),
        (json.dumps({**SIGSTORE.trusted_root(), "ctlogs": []}), "no CT log"),
        (json.dumps({**SIGSTORE.trusted_root(), "tlogs": []}), "no log that can be used"),
        (json.dumps({**SIGSTORE.trusted_root(), "certificateAuthorities": []}), "no CA of signers"),
    ],
)
def test_trusted_root_is_read_strictly(root: str, says: str) -> None:
    with pytest.raises(InvalidKeyError) as refusal:
        keyless_check(keyless(trustedRoot={"inline": root}))
    assert says in refusal.value.message
    assert "trusted root" in refusal.value.message or "trustedRoot" in refusal.value.message


def test_log_with_a_key_of_the_future_is_left_out(environment: CosignEnvironment) -> None:
    root = SIGSTORE.trusted_root()
    root["tlogs"].append({**root["tlogs"][0], "publicKey": {**root["tlogs"][0]["publicKey"], "keyDetails": "PQ"}})
    push_classic(environment.registry, REPOSITORY, classic(environment.digest))
    assert environment.ask(keyless_check(keyless(trustedRoot={"inline": json.dumps(root)}))).fingerprints == (IDENTITY,)


@pytest.mark.parametrize("pattern", ["[", "(a{1000}){1000}", "(?=x)", f"({'a' * 100}){{900}}"])
def test_expression_that_is_not_one_of_re2_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidPatternError, match=r"cosign.keyless.identities\[0\]"):
        keyless_check(keyless({"issuer": ISSUER, "subjectRegExp": pattern}))


def test_signature_by_a_key_is_not_one_by_an_identity(environment: CosignEnvironment) -> None:
    push_classic(environment.registry, REPOSITORY, Classic(environment.digest, KEY))
    error = environment.refused_by(keyless_check(keyless()), Reason.UNKNOWN_KEY)
    assert "accepts only identities" in error.message
