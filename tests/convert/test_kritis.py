"""Conversion of kritis objects."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest
import yaml

from sealgate.convert.files import convert_texts, to_yaml
from sealgate.errors import PolicyError
from tests.convert.kritis_conversions import SERVER, convert, notes, problems, specs
from tests.support.builders.kritis import EC_PEM, RSA_PEM, allowlist, attestation_policy, authority, kritis
from tests.support.signers.simple_signing import Signer


def test_attestation_authority_becomes_an_authenticator() -> None:
    conversion = convert(authority())
    assert specs(conversion, "Authenticator") == {
        "default.qa": {
            "grafeas": {
                "server": SERVER,
                "note": "projects/prod/notes/qa",
                "keys": [{"id": "qa-kms-key", "pem": EC_PEM}],
            }
        }
    }
    assert "no image has to be verified" in notes(conversion)
    assert conversion.unmatched == "admit"


@pytest.mark.parametrize(
    ("reference", "note"),
    [
        ("projects/prod", "projects/prod/notes/qa"),
        ("v1alpha1/projects/prod", "projects/prod/notes/qa"),
        ("v1beta1/projects/prod/notes/n", "projects/prod/notes/n"),
        ("namespaces/demo", "projects/demo/notes/qa"),
    ],
)
def test_a_note_is_written_in_full(reference: str, note: str) -> None:
    conversion = convert(authority(noteReference=reference))
    assert specs(conversion, "Authenticator")["default.qa"]["grafeas"]["note"] == note
    assert ("Alibaba" in notes(conversion)) == reference.startswith("namespaces/")


def test_without_a_server_one_is_named_that_never_answers() -> None:
    conversion = convert(authority(), server=None)
    assert specs(conversion, "Authenticator")["default.qa"]["grafeas"]["server"] == "https://grafeas.invalid"
    assert "replace https://grafeas.invalid" in notes(conversion)


def test_an_rsa_key_may_sign_in_both_ways_of_the_signature_rule() -> None:
    conversion = convert(authority(pem=RSA_PEM))
    keys = specs(conversion, "Authenticator")["default.qa"]["grafeas"]["keys"]
    assert [key["algorithm"] for key in keys] == ["RSA_PSS_SHA_256", "RSA_PKCS1_SHA_256"]
    assert "remove the entry" in notes(conversion)


def test_an_openpgp_key_stays_one() -> None:
    signer = Signer()
    conversion = convert(authority(pem=signer.public, publicKeyId=None))
    assert specs(conversion, "Authenticator")["default.qa"]["grafeas"]["keys"] == [{"pgp": signer.public}]


def test_a_key_may_stand_there_without_base64() -> None:
    conversion = convert(authority(publicKeyData=EC_PEM))
    assert specs(conversion, "Authenticator")["default.qa"]["grafeas"]["keys"][0]["pem"] == EC_PEM


def test_each_of_several_keys_has_its_type_and_algorithm() -> None:
    signer = Signer()
    keys = [
        {"keyType": "PGP", "keyId": signer.fingerprint, "asciiArmoredPgpPublicKey": signer.public},
        {
            "keyType": "PKIX",
            "keyId": "a",
            "pkixPublicKey": {"publicKey": RSA_PEM, "signatureAlgorithm": "RSA_SIGN_PKCS1_2048_SHA256"},
        },
        {
            "keyType": "PKIX",
            "pkixPublicKey": {
                "publicKey": b64encode(EC_PEM.encode()).decode(),
                "signatureAlgorithm": "ECDSA_P256_SHA256",
            },
        },
    ]
    conversion = convert(authority(publicKeys=keys, publicKeyData=None))
    found = specs(conversion, "Authenticator")["default.qa"]["grafeas"]["keys"]
    assert [(key.get("id"), key.get("algorithm")) for key in found] == [
        (signer.fingerprint, None),
        ("a", "RSA_PKCS1_SHA_256"),
        (None, "ECDSA_SHA_256"),
    ]


BAD_AUTHORITIES: dict[str, tuple[dict[str, Any], str]] = {
    "no note": ({"noteReference": None}, "noteReference is missing"),
    "another note": ({"noteReference": "notes/qa"}, "write projects/PROJECT/notes/NOTE"),
    "no key": ({"publicKeyData": None}, "has no public key"),
    "empty list of keys": ({"publicKeys": []}, "has no public key"),
    "keys that are no list": ({"publicKeys": {"a": 1}}, "must be a list of keys"),
    "key that is not base64": ({"publicKeyData": "%%"}, "neither PEM nor base64"),
    "key that is none": ({"publicKeyData": b64encode(b"key").decode()}, "cannot be accepted"),
    "key of another type": ({"publicKeys": [{"keyType": "JWT"}]}, "type JWT has no equivalent"),
    "algorithm that is not known": (
        {"publicKeys": [{"keyType": "PKIX", "pkixPublicKey": {"publicKey": EC_PEM, "signatureAlgorithm": "RSA_SHA1"}}]},
        "RSA_SHA1 has no equivalent",
    ),
}


@pytest.mark.parametrize("name", BAD_AUTHORITIES)
def test_invalid_attestation_authority_is_refused(name: str) -> None:
    fields, message = BAD_AUTHORITIES[name]
    assert message in problems(authority(**fields))


def test_all_authorities_of_a_policy_must_attest_in_its_namespace() -> None:
    conversion = convert(
        authority("qa", namespace="prod"),
        authority("security", namespace="prod"),
        attestation_policy("signed", "qa", "security", namespace="prod"),
    )
    assert specs(conversion) == {
        "prod.signed": {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "prod"}},
            "images": [{"repository": "**"}],
            "require": {"authenticators": ["prod.qa", "prod.security"]},
        }
    }


def test_objects_without_a_namespace_use_the_given_one() -> None:
    conversion = convert(authority(), attestation_policy("signed", "qa"), namespace="shop")
    assert specs(conversion)["shop.signed"]["namespaceSelector"] == {
        "matchLabels": {"kubernetes.io/metadata.name": "shop"}
    }


def test_one_name_in_two_namespaces_stays_two_authenticators() -> None:
    conversion = convert(
        *(authority(namespace=space) for space in ("a", "b")),
        *(attestation_policy("signed", "qa", namespace=space) for space in ("a", "b")),
    )
    assert set(specs(conversion, "Authenticator")) == {"a.qa", "b.qa"}
    assert {name: spec["require"]["authenticators"] for name, spec in specs(conversion).items()} == {
        "a.signed": ["a.qa"],
        "b.signed": ["b.qa"],
    }


def test_policies_with_one_authority_are_alternatives() -> None:
    conversion = convert(
        authority("qa"), authority("dev"), attestation_policy("one", "qa"), attestation_policy("two", "dev")
    )
    assert specs(conversion)["default"]["require"] == {"authenticators": ["default.dev", "default.qa"], "count": 1}


def test_policy_implied_by_an_alternative_is_dropped() -> None:
    conversion = convert(
        authority("qa"),
        authority("dev"),
        attestation_policy("both", "qa", "dev"),
        attestation_policy("one", "qa"),
        attestation_policy("same", "qa"),
    )
    assert {name: spec["require"] for name, spec in specs(conversion).items()} == {
        "default.one": {"authenticators": ["default.qa"]}
    }
    assert "both, same required no less than one" in notes(conversion)


def test_inexpressible_alternatives_become_stricter() -> None:
    conversion = convert(
        *(authority(name) for name in ("a", "b", "c")),
        attestation_policy("one", "a", "b"),
        attestation_policy("two", "c"),
    )
    assert set(specs(conversion)) == {"default.one", "default.two"}
    assert "stricter" in notes(conversion)


@pytest.mark.parametrize("names", [[], "qa", [5]])
def test_a_policy_without_authorities_is_refused(names: Any) -> None:
    policy = kritis("GenericAttestationPolicy", "signed", {"attestationAuthorityNames": names})
    assert "must name an AttestationAuthority" in problems(authority(), policy)


def test_policy_with_too_many_authorities_is_refused() -> None:
    names = [f"a{number}" for number in range(17)]
    assert "more than 16" in problems(*map(authority, names), attestation_policy("signed", *names))


def test_authority_of_another_namespace_is_not_found() -> None:
    text = problems(authority(namespace="a"), attestation_policy("signed", "qa", namespace="b"))
    assert "no AttestationAuthority qa in the namespace b" in text


# Files ----------------------------------------------------------------------------------------------------------------


def test_list_is_converted_like_its_items() -> None:
    conversion = convert({"apiVersion": "v1", "kind": "List", "items": [authority(), attestation_policy("p", "qa")]})
    assert len(conversion.objects) == 2


def test_other_kritis_kinds_are_reported() -> None:
    conversion = convert(authority(), kritis("ImageSecurityPolicy", "vulnerabilities", {}))
    assert "ImageSecurityPolicy vulnerabilities has no equivalent" in notes(conversion)


def test_two_objects_of_one_name_are_refused() -> None:
    assert "duplicate AttestationAuthority" in problems(authority(), authority())


@pytest.mark.parametrize("broken", [{"metadata": {}}, {"spec": None}, {"metadata": None}])
def test_an_object_without_name_or_spec_is_refused(broken: dict[str, Any]) -> None:
    assert "needs metadata.name and spec" in problems(authority() | broken)


@pytest.mark.parametrize("text", ["", "a: 1", "[]", "kind: Pod\napiVersion: v1\n"])
def test_a_file_with_nothing_to_convert_is_refused(text: str) -> None:
    with pytest.raises(PolicyError, match="nothing to convert"):
        convert_texts([("x", text)])


def test_a_file_that_is_not_yaml_is_refused() -> None:
    with pytest.raises(PolicyError) as caught:
        convert_texts([("x", "a: [")])
    assert caught.value.problems


def test_a_containers_policy_is_converted_alone() -> None:
    policy = '{"default": [{"type": "reject"}]}'
    assert convert_texts([("policy.json", policy)]).unmatched == "deny"
    with pytest.raises(PolicyError, match="alone"):
        convert_texts([("policy.json", policy), ("k.yaml", yaml.safe_dump(authority()))])


def test_untrusted_text_stays_in_its_comment() -> None:
    conversion = convert(authority(), allowlist("evil\n---\nkind: Pod"), attestation_policy("p", "qa"))
    text = to_yaml(conversion)
    assert "\nkind: Pod" not in text
    assert [document["kind"] for document in yaml.safe_load_all(text)] == ["Authenticator", "VerificationPolicy"]
