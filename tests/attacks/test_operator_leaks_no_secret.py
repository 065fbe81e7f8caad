"""A writer of authenticators must not be able to read Secrets through the operator, nor to forge its status."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from sealgate_operator.certificates.rotation import CURRENT_KEY, LEAF_KEY
from sealgate_operator.config import OperatorConfig
from sealgate_operator.controller.resources import SECRET
from sealgate_operator.controller.store import ObjectStore
from sealgate_operator.keys.secrets import SecretKeys
from sealgate_operator.metrics import Metrics
from sealgate_operator.status.authenticators import assess
from sealgate_operator.status.verification_policies import policy_status
from tests.operator.certificates.test_reconciler import reconciler_of
from tests.operator.environment import CA_SECRET, TLS_SECRET, api_of, data, install
from tests.operator.objects import authenticator, cosign, inline, pem, policy, secret_ref, settings
from tests.support.clocks import NOW, FakeClock
from tests.support.simulators.kubernetes import KubernetesSimulator

PRIVATE = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
WORDS = b"correct-horse-battery-staple"
CONTENTS = {
    "password": WORDS,
    "docker config": b'{"auths": {"registry.example.org": {"auth": "' + WORDS + b'"}}}',
    "private key": PRIVATE,
    "private key after the public one": pem("one").encode() + PRIVATE,
    "public key with words before it": WORDS + b"\n" + pem("one").encode(),
    "public key with words after it": pem("one").encode() + WORDS,
    "binary": b"\x00\xff" + WORDS,
    "looks like packets": b"\x99" + WORDS,
    "looks like a keyring": b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n" + base64.b64encode(WORDS) + b"\n"
    b"-----END PGP PUBLIC KEY BLOCK-----\n",
    "looks like a certificate": b"-----BEGIN CERTIFICATE-----\n" + base64.b64encode(WORDS * 3) + b"\n"
    b"-----END CERTIFICATE-----\n",
}


NOTHING = SecretKeys(lambda _: None)


def specs() -> list[dict[str, Any]]:
    reference = {"name": "victim", "key": "value"}
    return [
        cosign(secret_ref("victim", "value"), inline("two")),
        {"simpleSigning": {"keyring": {"secretRef": reference}, "store": {"openshift": {}}}},
        {"notary": {"root": {"keyId": "a" * 64}, "roles": [{"name": "targets", "keys": [{"secretRef": reference}]}]}},
    ]


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
@pytest.mark.parametrize("spec", specs(), ids=["cosign", "simpleSigning", "notary"])
def test_attack_24_no_secret_gets_out_through_a_status(content: bytes, spec: dict[str, Any]) -> None:
    found = assess(authenticator("a", spec), SecretKeys({"victim": {"value": content}}.get), [], NOW)
    shown = found.status.model_dump_json() + found.message
    assert WORDS.decode() not in shown
    for value in (WORDS, WORDS * 3, PRIVATE):
        assert base64.b64encode(value).decode() not in shown
    for line in PRIVATE.decode().splitlines()[1:-1]:
        assert line not in shown


def test_attack_24_the_operators_own_secrets_cannot_be_named() -> None:
    store = ObjectStore({"ca"})
    store.put(SECRET, {"metadata": {"name": "ca", "resourceVersion": "1"}, "data": {"ca.crt": ""}})
    found = assess(authenticator("a", cosign(secret_ref("ca", "ca.crt"))), SecretKeys(store.secret, {"ca"}), [], NOW)
    assert found.status.keys[0].reason == "SecretNotAllowed"


def test_attack_16_deleted_key_is_refused_and_its_pem_removed() -> None:
    obj = authenticator("a", cosign(secret_ref("keys")))
    first = assess(obj, SecretKeys({"keys": {"cosign.pub": pem("one").encode()}}.get), [], NOW)
    obj["status"] = first.status.model_dump(by_alias=True)
    gone = assess(obj, NOTHING, [], NOW)
    assert not gone.ready
    assert [key.pem for key in gone.status.keys] == [None]


FOREIGN = 'x\n{"level": "info"}\x1b[31m\u202e'


def test_attack_40_foreign_text_is_escaped_in_every_condition() -> None:
    objects = [
        assess(authenticator("a", {"cosign": {"keys": [{"pem": FOREIGN}]}}), NOTHING, [], NOW).status,
        assess(authenticator("a", cosign(secret_ref("keys", FOREIGN))), SecretKeys({"keys": {}}.get), [], NOW).status,
        assess(authenticator("a", {FOREIGN: {}}), NOTHING, [], NOW).status,
        policy_status(policy("p", "a", images=[{"repository": FOREIGN}]), {}, NOW),
        policy_status(policy("p", "a", **{FOREIGN: 1}), {}, NOW),
        policy_status(policy("p", FOREIGN), {}, NOW),
    ]
    for status in objects:
        for condition in status.conditions:
            assert condition.message.isprintable()
            assert condition.message.isascii()


def test_attack_40_private_keys_are_only_in_the_two_secrets(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with KubernetesSimulator() as cluster:
        install(cluster)
        config = OperatorConfig.model_validate(settings())
        clock = FakeClock()
        kept = reconciler_of(cluster, api_of(cluster), config, clock, _Open(), Metrics(lambda: True))
        kept.reconcile()
        clock.advance(5841 * 3600)
        kept.reconcile()
        keys = [data(cluster, CA_SECRET)[CURRENT_KEY], data(cluster, TLS_SECRET)[LEAF_KEY]]
        others = [cluster.find(plural) for plural in ("validatingwebhookconfigurations", "events", "leases")]
    written = capsys.readouterr()
    shown = written.out + written.err + json.dumps(others)
    assert "step" in shown
    for key in keys:
        assert base64.b64encode(key).decode() not in shown
        assert key.decode().splitlines()[1] not in shown


class _Open:
    def check(self) -> None:
        """Anybody may write."""
