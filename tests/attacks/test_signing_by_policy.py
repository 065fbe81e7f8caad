"""Attacks on signing by policy: nothing but a new image that a policy covers is signed, and no secret gets out."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.operator.environment import threads_end
from tests.operator.objects import secret
from tests.operator.worker.environment import BASELINES, KEY_PEM, POLICIES, REQUESTS, SECRETS, Shop, later, running
from tests.support.signers.private_keys import new_key, public_pem
from tests.support.simulators.huawei_dew import PROJECT, DEWSimulator
from tests.support.simulators.kubernetes import KubernetesSimulator
from tests.support.simulators.registry import RegistrySimulator
from tests.support.simulators.registry_auth import Auth

if TYPE_CHECKING:
    from collections.abc import Iterator

PASSWORD = "pa55-of-the-robot"
USERS = {"robot": PASSWORD}


@pytest.fixture
def shop() -> Iterator[Shop]:
    with KubernetesSimulator() as cluster, RegistrySimulator() as registry, threads_end():
        yield Shop(cluster, registry)


def docker_config(registry: RegistrySimulator) -> dict[str, Any]:
    config = {"auths": {registry.host: {"username": "robot", "password": PASSWORD}}}
    data = base64.b64encode(json.dumps(config).encode()).decode()
    return {**secret("push"), "data": {".dockerconfigjson": data}}


def test_attack_59_tag_that_moved_since_its_event_is_not_signed(shop: Shop) -> None:
    shop.put_policy()
    with running(shop):
        shop.wait_for_baseline()
        pushed = shop.registry.push_image("shop/web", "v1", content=b"pushed")
        moved = shop.registry.push_image("shop/web", "v1", content=b"moved")
        request = shop.request("shop/web", "v1", pushed, accepted=later())
        shop.wait_for(request, "Dropped")
    assert f"names {moved} now" in shop.message(request)
    assert shop.signatures("shop/web", pushed) == 0


def test_attack_60_digest_that_another_tag_names_is_not_signed(shop: Shop) -> None:
    shop.put_policy()
    with running(shop):
        shop.wait_for_baseline()
        shop.registry.push_image("shop/web", "v1", content=b"right")
        other = shop.registry.push_image("shop/web", "unreviewed", content=b"other")
        shop.wait_for(shop.request("shop/web", "v1", other, accepted=later()), "Dropped")
    assert shop.signatures("shop/web", other) == 0


def test_attack_61_image_from_before_the_policy_is_not_signed(shop: Shop) -> None:
    old = shop.registry.push_image("shop/web", "v1")
    shop.put_policy()
    with running(shop, resyncSeconds=1):
        shop.wait_for_baseline()
        request = shop.request("shop/web", "v1", old, accepted=later())
        shop.wait_for(request, "Dropped")
    assert "before the policy was made" in shop.message(request)
    assert shop.signatures("shop/web", old) == 0


def test_attack_62_lost_baseline_signs_nothing_until_a_run(shop: Shop) -> None:
    old = shop.registry.push_image("shop/web", "v1", content=b"old")
    shop.put_policy()
    with running(shop):
        shop.wait_for_baseline()
    (stored,) = shop.cluster.find("signingbaselines")
    shop.cluster.delete(f"{BASELINES}/{stored['metadata']['name']}")
    with running(shop, "two", resyncSeconds=1):
        shop.wait_for_baseline("Lost")
        shop.wait_for_reason("BaselineLost")
        new = shop.registry.push_image("shop/web", "v2", content=b"new")
        request = shop.request("shop/web", "v2", new, accepted=later())
        settled = len(shop.cluster.requests)
        shop.cluster.wait_for(lambda c: len(c.requests) > settled + 5)
        assert (shop.state(request), shop.signatures("shop/web", new), shop.signatures("shop/web", old)) == ("", 0, 0)
        shop.annotate("now")
        shop.wait_for_baseline("Recorded")
        shop.cluster.wait_for(lambda _: (shop.status().get("lastRun") or {}).get("state") == "Ended")
    assert (shop.signatures("shop/web", new), shop.signatures("shop/web", old)) == (1, 1)


@pytest.mark.parametrize("change", ["entries", "policyUid", "key"])
def test_attack_62_changed_baseline_counts_as_lost(shop: Shop, change: str) -> None:
    shop.registry.push_image("shop/web", "v1", content=b"old")
    shop.put_policy()
    with running(shop):
        shop.wait_for_baseline()
    (stored,) = shop.cluster.find("signingbaselines")
    stored["spec"][change] = {"entries": "", "policyUid": "another", "key": "0" * 32}[change]
    shop.cluster.put(BASELINES, stored)
    with running(shop, "two"):
        shop.wait_for_baseline("Lost")


def test_attack_63_tag_that_is_moved_back_is_not_signed(shop: Shop) -> None:
    old = shop.registry.push_image("shop/web", "v1", content=b"old")
    shop.put_policy()
    with running(shop, resyncSeconds=1):
        shop.wait_for_baseline()
        new = shop.registry.push_image("shop/web", "v1", content=b"new")
        shop.wait_until_signed(shop.request("shop/web", "v1", new, accepted=later()))
        shop.registry.tag("shop/web", "v1", old)
        shop.wait_for(shop.request("shop/web", "v1", old, accepted=later()), "Dropped")
    assert shop.signatures("shop/web", old) == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [("tag", "v2"), ("digest", "sha256:" + "4a" * 32), ("repository", "other.example.org/shop/web")],
)
def test_attack_64_request_whose_name_does_not_fit_is_dropped(shop: Shop, field: str, value: str) -> None:
    shop.put_policy()
    with running(shop):
        shop.wait_for_baseline()
        digest = shop.registry.push_image("shop/web", "v1")
        request = shop.request("shop/web", "v1", digest, accepted=later())
        shop.wait_until_signed(request)
        obj = shop.cluster.get(f"{REQUESTS}/{request}")
        obj["spec"] |= {field: value, "acceptedAt": "2099-01-02T00:00:00Z"}
        shop.cluster.put(REQUESTS, obj)
        shop.wait_for(request, "Dropped")
    assert "its name does not fit its content" in shop.message(request)


def test_attack_64_written_request_reaches_nothing_beyond_the_policy(shop: Shop) -> None:
    shop.put_policy()
    with running(shop):
        shop.wait_for_baseline()
        outside = shop.registry.push_image("private/vault", "v1")
        asked = len(shop.registry.requests)
        requests = [
            shop.request("private/vault", "v1", outside, accepted=later()),
            shop.request("shop/web", "latest", outside, accepted=later()),
            shop.request("shop/web", "v1", outside, accepted=later(), host="registry.attacker.example"),
        ]
        for request in requests:
            shop.wait_for(request, "Dropped")
            assert "does not cover it" in shop.message(request)
    assert not [path for path in shop.registry.paths[asked:] if "private" in path]


def test_attack_64_request_of_a_policy_made_anew_is_dropped(shop: Shop) -> None:
    shop.put_policy()
    digest = shop.registry.push_image("shop/web", "v1")
    request = shop.request("shop/web", "v1", digest, accepted=later())
    shop.cluster.delete(f"{POLICIES}/release")
    shop.put_policy()
    with running(shop):
        shop.wait_for(request, "Dropped")
    assert "is gone" in shop.message(request)


def test_attack_68_push_credentials_are_sent_to_their_hosts_only(shop: Shop) -> None:
    with RegistrySimulator(auth=Auth("bearer", users=USERS)) as registry, RegistrySimulator() as elsewhere:
        registry.auth.realm = f"{elsewhere.url}/token"
        shop.cluster.put(SECRETS, docker_config(registry))
        listed = [{"name": "release-key", "hosts": []}, {"name": "push", "hosts": [registry.host]}]
        shop.put_policy(images=[{"repository": f"{registry.host}/shop/web"}])
        with running(shop, insecure=[registry.host, elsewhere.host], secrets=listed):
            shop.cluster.wait_for(lambda _: shop.status().get("repositories", {}).get("problems"))
        (problem,) = shop.status()["repositories"]["problems"]
    assert "not among the hosts" in problem
    assert not elsewhere.requests


def test_attack_68_service_credentials_are_sent_to_their_hosts_only(shop: Shop) -> None:
    with DEWSimulator() as kms:
        kms.add("b1c2-d3", "EC_P256")
        shop.cluster.put(SECRETS, secret("dew", **kms.secret))
        shop.put_policy(key=huawei(kms))
        with running(shop, insecure=[kms.host], secrets=[{"name": "dew", "hosts": ["kms.example.org"]}]):
            shop.wait_for_reason("AddressForbidden")
        assert "may not be sent to" in shop.ready()["message"]
        assert not kms.requests


def test_attack_68_secret_of_a_private_key_is_never_a_credential(shop: Shop) -> None:
    with DEWSimulator() as kms:
        kms.add("b1c2-d3", "EC_P256")
        shop.put_policy(key=huawei(kms, credentials="release-key"))
        with running(shop, insecure=[kms.host]):
            shop.cluster.wait_for(lambda _: shop.ready().get("status") == "False")
        assert not kms.requests


def test_attack_69_signature_by_another_key_is_not_stored(shop: Shop) -> None:
    with DEWSimulator() as kms:
        key = kms.add("b1c2-d3", "EC_P256")
        key.public = public_pem(new_key("ECDSA P-256", "another"))
        shop.cluster.put(SECRETS, secret("dew", **kms.secret))
        shop.put_policy(key=huawei(kms))
        with running(shop, insecure=[kms.host], secrets=[{"name": "dew", "hosts": [kms.host]}]):
            shop.wait_for_baseline()
            digest = shop.registry.push_image("shop/web", "v1")
            request = shop.request("shop/web", "v1", digest, accepted=later())
            shop.wait_for(request, "Failed")
            shop.cluster.wait_for(lambda _: shop.status()["lastErrors"])
    assert shop.signatures("shop/web", digest) == 0
    assert shop.status()["lastErrors"][0]["image"] == f"{shop.host}/shop/web:v1"


def test_attack_70_no_secret_in_logs_statuses_or_events(shop: Shop, capfd: pytest.CaptureFixture[str]) -> None:
    with RegistrySimulator(auth=Auth("basic", users={"robot": "another"})) as registry:
        registry.push_image("shop/web", "v1")
        shop.cluster.put(SECRETS, docker_config(registry))
        listed = [{"name": "release-key", "hosts": []}, {"name": "push", "hosts": [registry.host]}]
        shop.put_policy(images=[{"repository": f"{registry.host}/shop/web"}])
        shop.put_policy("broken", key={"secretRef": {"name": "push", "key": ".dockerconfigjson"}})
        shop.put_policy("fine")
        with running(shop, insecure=[registry.host], secrets=listed):
            shop.wait_for_reason("InvalidKey", "broken")
            shop.wait_for_baseline(name="fine")
            digest = shop.registry.push_image("shop/web", "v1")
            shop.wait_until_signed(shop.request("shop/web", "v1", digest, policy="fine", accepted=later()))
            shop.cluster.wait_for(lambda _: shop.status().get("repositories", {}).get("problems"))
            shop.cluster.wait_for(lambda c: c.find("events"))
    written = [request.body for request in shop.cluster.requests if request.method != "GET"]
    said = json.dumps(written) + "".join(capfd.readouterr())
    key_line = KEY_PEM.decode().splitlines()[1]
    for each in (PASSWORD, base64.b64encode(f"robot:{PASSWORD}".encode()).decode(), key_line):
        assert each not in said


def huawei(kms: DEWSimulator, credentials: str = "dew") -> dict[str, Any]:
    source = {
        "region": "cn-north-4",
        "projectId": PROJECT,
        "keyId": "b1c2-d3",
        "credentialsSecret": {"name": credentials},
        "endpoint": kms.url,
    }
    return {"kms": {"huawei": source}}
