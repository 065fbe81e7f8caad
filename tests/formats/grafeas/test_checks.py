"""Validation of the `grafeas` field, and the members that distinguish two checks."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from sealgate.errors import InvalidKeyError, UnavailableError
from sealgate.formats.build import build_check
from sealgate.keys.resolvers import FileKeys
from sealgate.manifests.policies import load_standalone, standalone_policies
from sealgate.reasons import Reason
from tests.cli.objects import write
from tests.support.builders.objects import policy
from tests.support.environments.grafeas import KEY, STRANGER, GrafeasEnvironment, key_entry, pgp_entry
from tests.support.signers.private_keys import public_pem
from tests.support.signers.simple_signing import Signer

PGP = Signer()

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no keys": ({"keys": []}, "at least 1 item"),
    "no source": ({"keys": [{"id": "a"}]}, "has no key source; write exactly one"),
    "two sources": ({"keys": [{"pem": "x", "pgp": "y"}]}, "has pem and pgp"),
    "algorithm of OpenPGP": ({"keys": [{"pgp": "y", "algorithm": "ED25519"}]}, "brings its own"),
    "server with a user": ({"server": "https://me@grafeas.example.org"}, "server"),
    "server with a query": ({"server": "https://grafeas.example.org/?a=b"}, "server"),
    "no note": ({"note": "projects/prod"}, "note"),
    "note with a path in it": ({"note": "projects/prod/notes/../../x"}, "note"),
    "note with a query": ({"note": "projects/prod/notes/qa?x"}, "note"),
    "project with a path in it": ({"project": "projects/.."}, "project"),
    "unknown version": ({"apiVersion": "v2"}, "apiVersion"),
    "unknown field": ({"notes": "x"}, "notes"),
}


@pytest.mark.parametrize("name", WRONG)
def test_invalid_settings_are_refused(environment: GrafeasEnvironment, name: str) -> None:
    fields, message = WRONG[name]
    with pytest.raises(ValidationError, match=message):
        environment.authenticator(**fields)


def test_a_key_that_does_not_fit_its_algorithm_is_refused(environment: GrafeasEnvironment) -> None:
    with pytest.raises(InvalidKeyError, match=r"grafeas\.keys\[0\]: .*does not fit"):
        environment.check(key_entry(KEY, "RSA_PSS_SHA_256"))


def test_invalid_openpgp_key_is_refused(environment: GrafeasEnvironment) -> None:
    with pytest.raises(InvalidKeyError, match=r"grafeas\.keys\[1\]: "):
        environment.check(key_entry(KEY), {"pgp": "-----BEGIN PGP"})


def test_key_id_belongs_to_one_key_type(environment: GrafeasEnvironment) -> None:
    with pytest.raises(InvalidKeyError, match="the id kms-key is given to an OpenPGP key and to another"):
        environment.check(key_entry(KEY, key_id="kms-key"), pgp_entry(PGP) | {"id": "kms-key"})


def test_a_secret_that_is_missing_makes_it_not_ready(environment: GrafeasEnvironment) -> None:
    authenticator = environment.authenticator({"id": "a", "secretRef": {"name": "qa", "key": "pem"}})
    with pytest.raises(UnavailableError) as caught:
        build_check(authenticator, FileKeys({}))
    assert caught.value.reason is Reason.AUTHENTICATOR_NOT_READY
    build_check(authenticator, FileKeys({"qa": {"pem": public_pem(KEY).encode()}}))


def test_content_covers_every_deciding_field(environment: GrafeasEnvironment) -> None:
    checks = [
        environment.check(),
        environment.check(key_entry(STRANGER)),
        environment.check(key_entry(KEY, key_id="other")),
        environment.check(key_entry(KEY, "ECDSA_SHA_384")),
        environment.check(key_entry(KEY), pgp_entry(PGP)),
        environment.check(note="projects/prod/notes/dev"),
        environment.check(project="projects/prod"),
        environment.check(filter="none"),
        environment.check(server="https://grafeas.example.org"),
        environment.check(credentialsSecret={"name": "a"}),
        environment.check(ca={"pem": "x"}),
    ]
    assert len({check.content for check in checks}) == len(checks)
    assert environment.check().content == environment.check().content


def test_policy_files_are_checked_and_bring_keys_and_credentials(
    environment: GrafeasEnvironment, tmp_path: Any
) -> None:
    authenticator = environment.authenticator(
        key_entry(KEY), pgp_entry(PGP), credentialsSecret={"name": "grafeas"}
    ).model_dump(mode="json", by_alias=True, exclude_none=True)
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "grafeas"},
        "stringData": {"token": "s3cret"},
    }
    write(tmp_path / "all.yaml", authenticator, secret, policy("production", "**", authenticators=["acr-qa"]))
    policies = standalone_policies(load_standalone([tmp_path]))
    assert policies.secrets.read("grafeas") == {"token": b"s3cret"}
    assert policies.checks["acr-qa"].format == "grafeas"  # type: ignore[union-attr]  # else it is an error, and fails


class NoKeys:
    """A key source that has lost its keys."""

    def public_keys(self, entry: Any) -> tuple[()]:
        del entry
        return ()

    def secret(self, reference: Any) -> bytes:
        raise AssertionError(reference)

    trusted_root = secret


def test_a_resolver_that_returns_no_keys_makes_no_check(environment: GrafeasEnvironment) -> None:
    with pytest.raises(InvalidKeyError, match="without a key no attestation can count"):
        build_check(environment.authenticator(), NoKeys())
