"""Huawei Cloud SWR and DEW: images signed with keys of DEW, which the operator reads from a simulator over TLS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.chart.rendering import NAMESPACE
from tests.e2e import release
from tests.e2e.images import PlainRegistry
from tests.e2e.kube import condition, eventually, get, kubectl
from tests.e2e.objects import pod
from tests.e2e.servers import ca_of, secrets, serve
from tests.support.signers.cosign import Classic, push_classic
from tests.support.signers.private_keys import new_key
from tests.support.signers.private_keys import sign as sign_with
from tests.support.signers.sm2 import SM2PrivateKey
from tests.support.simulators.http_messages import encode
from tests.support.simulators.huawei_dew import PROJECT, DEWSimulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.images import Image, ImageBuilder
    from tests.e2e.kube import Object
    from tests.e2e.teams import Team
    from tests.support.simulators.kms_keys import KMSPrivateKey

#: Signing keys of DEW: type and algorithm.
SIGNING = {
    "release-p256": ("EC_P256", "ECDSA_SHA_256"),
    "release-p384": ("EC_P384", "ECDSA_SHA_384"),
    "release-sm2": ("SM2", "SM2"),
}
#: Keys that must be refused, and the reason.
REFUSED = {
    "encrypting": "WrongUsage",
    "symmetric": "UnsupportedAlgorithm",
    "paused": "Disabled",
    "nowhere": "KeyNotFound",
}
WRONG = "sk-of-another-account"


@dataclass(frozen=True, slots=True)
class SWR:
    """Images in a registry, the DEW with the keys, and a namespace that requires a signature by one of them.

    Attributes:
        dew: the simulator.
        team: the namespace; its one authenticator lists all keys, including those that are refused.
        signed: images by the key that signed them.
        unsigned: not signed.
        untrusted: signed with a key that is not in DEW.
    """

    dew: DEWSimulator
    team: Team
    signed: dict[str, Image]
    unsigned: Image
    untrusted: Image

    def status(self) -> dict[str, Any]:
        """Return the status of each key by its ID."""
        keys = get("authenticator", self.team.name).get("status", {}).get("keys", [])
        return {key["source"].removesuffix(f" at {self.dew.url}").rpartition("/")[2]: key for key in keys}


@pytest.fixture(scope="module")
def swr(image_builder: ImageBuilder, repository: str, new_module_team: Callable[[], Team]) -> Iterator[SWR]:
    """Start DEW, sign the images and wait until the policy is in force."""
    with (
        serve(DEWSimulator, "dew.test") as dew,
        secrets(e2e_dew=dew.secret, e2e_dew_wrong=dew.secret | {"secretKey": WRONG.encode()}),
    ):
        for name, (spec, _) in SIGNING.items():
            dew.add(name, spec)
        dew.add("encrypting", "EC_P256", usage="ENCRYPT_DECRYPT").private = new_key("ECDSA P-256", "encrypting")
        dew.add("symmetric", "AES_256")
        dew.add("paused", "EC_P256", state="3").private = new_key("ECDSA P-256", "paused")
        usable = (*SIGNING, "encrypting", "paused")
        images = {name: image_builder.push(f"{repository}/swr:{name}", name) for name in usable}
        for name, image in images.items():
            sign(image, dew.keys[name].private)
        untrusted = image_builder.push(f"{repository}/swr:untrusted", "untrusted")
        sign(untrusted, new_key("ECDSA P-256", "untrusted"))
        team = new_module_team()
        team.require({"cosign": {"keys": [entry(dew, name) for name in (*SIGNING, *REFUSED)]}})
        eventually(lambda: condition("authenticator", team.name), "DEW was asked")
        unsigned = image_builder.push(f"{repository}/swr:unsigned", "unsigned")
        swr = SWR(dew, team, images, unsigned, untrusted)
        team.wait_for_decision(images["release-sm2"].tagged, admitted=True)
        team.wait_for_decision(unsigned.tagged, admitted=False)
        yield swr


def entry(dew: DEWSimulator, name: str, credentials: str = "e2e-dew") -> Object:
    """Return the entry of a key in DEW in an Authenticator."""
    source = {
        "region": "cn-north-4",
        "projectId": PROJECT,
        "keyId": name,
        "credentialsSecret": {"name": credentials},
        "endpoint": dew.url,
        "ca": ca_of(dew),
    }
    algorithm = {"algorithm": SIGNING[name][1]} if name in SIGNING else {}
    return {"kms": {"huawei": source}, **algorithm}


def sign(image: Image, key: KMSPrivateKey) -> None:
    """Sign an image as SWR does: cosign's layout, with the hash of the key's algorithm."""
    classic = Classic(image.digest, new_key("ECDSA P-256"), reference=image.name)
    classic.payload = encode(classic.document())
    message = classic.payload
    classic.signature = key.sign(message) if isinstance(key, SM2PrivateKey) else sign_with(key, message)
    push_classic(PlainRegistry(release.REGISTRY), image.path, classic)


def test_images_signed_with_dew_keys_run(swr: SWR) -> None:
    swr.team.expect_running(*(swr.signed[name] for name in SIGNING))


def test_unsigned_and_untrusted_images_are_denied(swr: SWR) -> None:
    swr.team.expect_denied(swr.unsigned.tagged, "NoSignature")
    swr.team.expect_denied(swr.untrusted.tagged, "InvalidSignature")


def test_status_shows_accepted_and_refused_keys(swr: SWR) -> None:
    # A key that could not be read once is read again.
    eventually(lambda: _states(swr) == {"Accepted": set(SIGNING), "Refused": set(REFUSED)}, "each key has its state")
    found = swr.status()
    for name, (_, algorithm) in SIGNING.items():
        assert (found[name]["state"], found[name]["algorithm"]) == ("Accepted", algorithm)
        assert found[name]["source"] == f"kms huawei cn-north-4/{PROJECT}/{name} at {swr.dew.url}"
        assert found[name]["fingerprint"].startswith("sha256:")
        assert found[name]["validUntil"] > found[name]["observedAt"]
    for name, reason in REFUSED.items():
        assert (found[name]["state"], found[name]["reason"]) == ("Refused", reason)
        assert found[name]["message"]
        assert "pem" not in found[name]
    ready = condition("authenticator", swr.team.name)
    assert (ready["status"], ready["reason"]) == ("True", "SomeKeysRefused")
    assert "3/7" in kubectl("get", "authn", swr.team.name).checked().out


def _states(swr: SWR) -> dict[str, set[str]]:
    """Return the IDs of the keys by their state."""
    states: dict[str, set[str]] = {}
    for name, key in swr.status().items():
        states.setdefault(key["state"], set()).add(name)
    return states


@pytest.mark.parametrize("name", ["encrypting", "paused"])
def test_signature_of_an_unusable_key_is_not_accepted(swr: SWR, name: str) -> None:
    swr.team.expect_denied(swr.signed[name].tagged, "InvalidSignature")


def test_disabled_dew_key_is_dropped_and_restored(swr: SWR) -> None:
    name = "release-p384"
    swr.dew.keys[name].state = "3"
    eventually(lambda: swr.status()[name]["reason"] == "Disabled", "the status says so")
    swr.team.wait_for_decision(swr.signed[name].tagged, admitted=False)
    swr.team.expect_denied(swr.signed[name].tagged, "InvalidSignature")
    swr.team.create(pod("other", swr.signed["release-p256"].tagged), dry_run=True).checked()
    swr.dew.keys[name].state = "2"
    eventually(lambda: swr.status()[name]["state"] == "Accepted", "the key is back")
    swr.team.wait_for_decision(swr.signed[name].tagged, admitted=True)


def test_dew_credentials_are_not_in_status_or_logs(swr: SWR, new_team: Callable[[], Team]) -> None:
    team = new_team()
    good, wrong = entry(swr.dew, "release-p256"), entry(swr.dew, "release-p384", "e2e-dew-wrong")
    team.require({"cosign": {"keys": [good, wrong]}})
    team.wait_for_decision(swr.signed["release-p256"].tagged, admitted=True)
    # The other key could not be read, so the images are not denied as unsigned: they may be signed with it.
    team.expect_denied(swr.signed["release-p384"].tagged, "AuthenticatorNotReady", "release-p384", "401")
    objects = kubectl("get", "authn,vpol,events", "-A", "-o", "yaml").checked().out
    logs = "".join(
        kubectl("-n", NAMESPACE, "logs", f"pod/{found['metadata']['name']}", "--tail=-1").checked().out
        for component in ("operator", "webhook")
        for found in release.pods(component)
    )
    for text in (objects, logs):
        assert team.name in text
        assert swr.dew.secret_key not in text
        assert WRONG not in text
        # The simulator, like some servers, repeats the Authorization header in its refusal.
        assert "SDK-HMAC" not in text
