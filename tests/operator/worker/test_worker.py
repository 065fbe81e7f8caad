"""The signing worker with a simulated API server and registry: pushes, resyncs, runs, and what it never signs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from sealgate.keys.public_keys import load_public_key
from tests.operator.objects import authenticator, pem, secret
from tests.operator.worker.environment import (
    AUTHENTICATORS,
    KEY,
    POLICIES,
    REQUESTS,
    SECRETS,
    later,
    running,
)
from tests.support.kstatus import kstatus
from tests.support.signers.notation import Authority
from tests.support.signers.private_keys import public_pem
from tests.support.simulators.huawei_dew import PROJECT, DEWSimulator
from tests.support.simulators.registry import RegistrySimulator

if TYPE_CHECKING:
    from tests.operator.worker.environment import Shop

DAY = timedelta(days=1)
OURS = load_public_key(public_pem(KEY))


def test_pushed_image_is_signed_and_found_signed(shop: Shop) -> None:
    shop.put_policy()
    with running(shop):
        shop.wait_for_baseline()
        digest = shop.registry.push_image("shop/web", "v1")
        request = shop.request("shop/web", "v1", digest, accepted=later())
        shop.wait_until_signed(request)
        assert shop.signatures("shop/web", digest) == 1
        obj = shop.cluster.get(f"{REQUESTS}/{request}")
        obj["spec"]["acceptedAt"] = "2099-01-02T00:00:00Z"
        shop.cluster.put(REQUESTS, obj)
        shop.cluster.wait_for(lambda _: shop.ended(request) == "2099-01-02T00:00:00Z")
        assert shop.state(request) == "AlreadySigned"
        shop.cluster.wait_for(lambda _: shop.status()["counts"].get("signed") == 1)
        shop.wait_for_reason("Signing")
        assert kstatus(shop.cluster.get(f"{POLICIES}/release")) == "Current"
    assert shop.signatures("shop/web", digest) == 1
    assert shop.status()["keyFingerprint"] == OURS.fingerprint


def test_two_tags_of_one_digest_are_signed_once(shop: Shop) -> None:
    shop.put_policy()
    with running(shop):
        shop.wait_for_baseline()
        digest = shop.registry.push_image("shop/web", "v1")
        shop.registry.tag("shop/web", "v2", digest)
        requests = [shop.request("shop/web", tag, digest, accepted=later()) for tag in ("v1", "v2")]
        for request in requests:
            shop.wait_until_signed(request)
    assert shop.signatures("shop/web", digest) == 1


def test_resync_signs_what_is_new_and_nothing_from_before_the_policy(shop: Shop) -> None:
    old = shop.registry.push_image("shop/web", "v1", content=b"old")
    shop.put_policy()
    with running(shop, resyncSeconds=1):
        shop.wait_for_baseline()
        new = shop.registry.push_image("shop/new", "v1", content=b"new")
        moved = shop.registry.push_image("shop/web", "v2", content=b"moved")
        shop.cluster.wait_for(lambda _: shop.status()["counts"].get("signed") == 2)
    assert (shop.signatures("shop/new", new), shop.signatures("shop/web", moved)) == (1, 1)
    assert shop.signatures("shop/web", old) == 0


def test_manual_run_signs_everything_and_says_so(shop: Shop) -> None:
    digests = [shop.registry.push_image("shop/web", f"v{n}", content=b"%d" % n) for n in range(5)]
    shop.registry.push_image("shop/web", "latest", content=b"not covered")
    shop.put_policy(trigger="Manual")
    with running(shop):
        shop.wait_for_reason("ReadyForRuns")
        shop.annotate("first")
        shop.cluster.wait_for(lambda _: (shop.status().get("lastRun") or {}).get("state") == "Ended")
        run = shop.status()["lastRun"]
        assert (run["id"], run["total"], run["counts"]["signed"]) == ("first", 5, 5)
        assert run["checkpoint"] == f"{shop.host}/shop/web:v4"
        shop.annotate("second")
        shop.cluster.wait_for(lambda _: shop.status()["lastRun"]["id"] == "second")
        shop.cluster.wait_for(lambda _: shop.status()["lastRun"]["state"] == "Ended")
        assert shop.status()["lastRun"]["counts"]["alreadySigned"] == 5
    assert [shop.signatures("shop/web", digest) for digest in digests] == [1] * 5


def test_run_goes_on_after_its_checkpoint(shop: Shop) -> None:
    digests = [shop.registry.push_image("shop/web", f"v{n}", content=b"%d" % n) for n in range(4)]
    policy = shop.put_policy(trigger="Manual")
    run = {
        "id": "first",
        "state": "Running",
        "startedAt": "2026-01-01T00:00:00Z",
        "total": 4,
        "counts": {"signed": 2},
        "checkpoint": f"{shop.host}/shop/web:v1",
    }
    policy["metadata"]["annotations"] = {"sealgate.dev/run": "first"}
    shop.cluster.put(POLICIES, {**policy, "status": {"lastRun": run}})
    with running(shop):
        shop.cluster.wait_for(lambda _: shop.status()["lastRun"]["state"] == "Ended")
    assert [shop.signatures("shop/web", digest) for digest in digests] == [0, 0, 1, 1]
    assert shop.status()["lastRun"]["counts"]["signed"] == 4
    assert shop.status()["lastRun"]["startedAt"] == "2026-01-01T00:00:00Z"


def test_registry_that_fails_is_asked_again_until_it_works(shop: Shop) -> None:
    shop.put_policy()
    with running(shop):
        shop.wait_for_baseline()
        digest = shop.registry.push_image("shop/web", "v1")
        fault = shop.registry.faults.status("/v2/shop/web/blobs/uploads", 503, times=2)
        request = shop.request("shop/web", "v1", digest, accepted=later())
        shop.wait_until_signed(request)
    assert fault.times == 0
    assert shop.cluster.get(f"{REQUESTS}/{request}")["status"]["attempts"] >= 2


def test_pushes_wait_while_the_baseline_is_recorded(shop: Shop) -> None:
    digest = shop.registry.push_image("shop/web", "v1")
    shop.registry.faults.status("/v2/shop/web/tags/list", 503)
    shop.put_policy()
    with running(shop):
        shop.cluster.wait_for(lambda _: shop.status().get("repositories", {}).get("problems"))
        assert shop.ready()["reason"] == "BaselineRecording"
        request = shop.request("shop/web", "v1", digest)
        shop.registry.faults.clear()
        shop.wait_for(request, "Undecided")
        shop.cluster.wait_for(lambda _: shop.status().get("undecided") == [f"{shop.host}/shop/web:v1"])
    assert shop.signatures("shop/web", digest) == 0


def test_requests_from_before_a_change_are_judged_by_the_new_spec(shop: Shop) -> None:
    shop.put_policy()
    with running(shop):
        shop.wait_for_baseline()
        shop.registry.faults.status("/v2/shop/web/blobs/uploads", 503)
        digest = shop.registry.push_image("shop/web", "v1")
        request = shop.request("shop/web", "v1", digest, accepted=later())
        shop.cluster.wait_for(lambda _: shop.state(request) == "Waiting")
        key = shop.status()["baseline"]["key"]
        shop.put_policy(excludeImages=[{"repository": f"{shop.host}/shop/other"}])
        shop.cluster.wait_for(
            lambda _: shop.status()["baseline"]["key"] != key and shop.status()["baseline"]["state"] == "Recorded"
        )
        shop.registry.faults.clear()
        shop.wait_until_signed(request)
    assert shop.signatures("shop/web", digest) == 1


def test_description_alone_keeps_the_baseline(shop: Shop) -> None:
    shop.put_policy()
    with running(shop):
        shop.wait_for_baseline()
        before = shop.status()["baseline"]
        shop.put_policy(description="releases of the shop")
        shop.cluster.wait_for(lambda _: shop.status()["observedGeneration"] == 2)
    assert shop.status()["baseline"] == before


def chain_of(*, complete: bool = True, lifetime: timedelta = 100 * DAY) -> str:
    """Return a certificate chain for Notation, which began before the tests did."""
    _, chain = Authority("root").issue(begins=datetime.now(UTC) - 10 * DAY, lifetime=lifetime)
    return "".join(each.public_bytes(Encoding.PEM).decode() for each in (chain if complete else chain[:1]))


@pytest.mark.parametrize(
    ("spec", "reason", "seen_as"),
    [
        ({"key": {"secretRef": {"name": "other", "key": "key.pem"}}}, "KeyNotReady", "InProgress"),
        ({"key": {"secretRef": {"name": "release-key", "key": "missing"}}}, "KeyNotReady", "InProgress"),
        ({"images": [{"repository": "*.example.org/shop/*"}]}, "InvalidPattern", "Failed"),
        ({"algorithm": "RSA_PSS_SHA_256"}, "InvalidKey", "Failed"),
        ({"key": {}}, "InvalidSpec", "Failed"),
        ({"cosign": None, "notation": {"certificateChain": chain_of(complete=False)}}, "InvalidKey", "Failed"),
        ({"cosign": None, "notation": {"certificateChain": chain_of(lifetime=DAY)}}, "Expired", "Failed"),
    ],
)
def test_policy_that_cannot_sign_says_why(shop: Shop, spec: dict[str, Any], reason: str, seen_as: str) -> None:
    shop.put_policy(**spec)
    with running(shop):
        shop.wait_for_reason(reason)
        assert shop.ready()["message"]
        assert kstatus(shop.cluster.get(f"{POLICIES}/release")) == seen_as
        shop.cluster.wait_for(lambda c: any(each["reason"] == reason for each in c.find("events")))


def test_key_that_no_authenticator_accepts_is_reported(shop: Shop) -> None:
    shop.put_policy()

    def accepted(_: object) -> str:
        conditions = shop.status().get("conditions") or []
        return next((each["status"] for each in conditions if each["type"] == "KeyAccepted"), "")

    with running(shop):
        shop.cluster.wait_for(lambda c: accepted(c) == "False")
        shop.cluster.put(AUTHENTICATORS, authenticator("other", {"cosign": {"keys": [{"pem": pem("other")}]}}))
        ours = {"cosign": {"keys": [{"pem": public_pem(KEY)}]}}
        shop.cluster.put(AUTHENTICATORS, authenticator("ours", ours))
        shop.cluster.wait_for(lambda c: accepted(c) == "True")


def test_ended_requests_are_removed_after_their_time(shop: Shop) -> None:
    shop.put_policy()
    with running(shop, requestRetentionSeconds=1):
        shop.wait_for_baseline()
        digest = shop.registry.push_image("shop/web", "v1")
        shop.request("shop/web", "v1", digest, accepted=later())
        shop.cluster.wait_for(lambda c: not c.find("signingrequests"))
    assert shop.signatures("shop/web", digest) == 1


def test_run_finds_repositories_that_only_push_events_named(shop: Shop) -> None:
    shop.registry.faults.status("/v2/_catalog", 404)
    shop.put_policy()
    with running(shop):
        shop.wait_for_baseline()
        first = shop.registry.push_image("shop/new", "v1", content=b"first")
        shop.wait_until_signed(shop.request("shop/new", "v1", first, accepted=later()))
        second = shop.registry.push_image("shop/new", "v2", content=b"second")
        shop.annotate("now")
        shop.cluster.wait_for(lambda _: (shop.status().get("lastRun") or {}).get("state") == "Ended")
    assert shop.signatures("shop/new", second) == 1


def test_key_service_is_asked_once_however_often_the_status_changes(shop: Shop) -> None:
    with DEWSimulator() as kms:
        kms.add("b1c2-d3", "EC_P256")
        source = {"region": "cn-north-4", "projectId": PROJECT, "keyId": "b1c2-d3", "endpoint": kms.url}
        entry = {"kms": {"huawei": {**source, "credentialsSecret": {"name": "reading"}}}}
        shop.cluster.put(AUTHENTICATORS, authenticator("dew", {"cosign": {"keys": [entry]}}))
        shop.cluster.put(SECRETS, secret("dew", **kms.secret))
        shop.put_policy(key={"authenticator": "dew", "credentialsSecret": {"name": "dew"}})
        with running(shop, insecure=[kms.host], secrets=[{"name": "dew", "hosts": [kms.host]}]):
            shop.wait_for_baseline()
            asked = len(kms.requests)
            for number in range(3):
                obj = shop.cluster.get(f"{POLICIES}/release")
                obj["metadata"]["annotations"] = {"changed": str(number)}
                shop.cluster.put(POLICIES, obj)
                shop.put_policy("next", key={"secretRef": {"name": f"missing-{number}", "key": "key.pem"}})
                shop.cluster.wait_for(
                    lambda _, number=number: f"missing-{number}" in shop.ready("next").get("message", "")
                )
            assert len(kms.requests) == asked
            changed = authenticator("dew", {"cosign": {"keys": [{**entry, "algorithm": "ECDSA_SHA_256"}]}})
            shop.cluster.put(AUTHENTICATORS, changed)
            shop.cluster.wait_for(lambda _: len(kms.requests) > asked)


def test_attack_85_ended_requests_are_bounded(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sealgate_operator.worker.retention.MAX_ENDED", 2)
    monkeypatch.setattr("sealgate_operator.worker.retention.ROUND_SECONDS", 0.1)
    shop.put_policy()
    with running(shop, requestRetentionSeconds=600):
        shop.wait_for_baseline()
        for number in range(4):
            digest = shop.registry.push_image("shop/web", f"v{number}", content=b"%d" % number)
            shop.request("shop/web", f"v{number}", digest, accepted=later())
        shop.cluster.wait_for(lambda c: len(c.find("signingrequests")) == 2)


def test_signature_that_another_writer_dropped_is_added_again(shop: Shop) -> None:
    shop.put_policy()
    with running(shop, resyncSeconds=1):
        shop.wait_for_baseline()
        digest = shop.registry.push_image("shop/web", "v1")
        shop.wait_until_signed(shop.request("shop/web", "v1", digest, accepted=later()))
        stored = shop.registry.repositories["shop/web"].tags[f"{digest.replace(':', '-')}.sig"]
        shop.registry.delete("shop/web", stored)
        shop.cluster.wait_for(lambda _: shop.signatures("shop/web", digest) == 1)


def test_slow_registry_does_not_hold_up_another(shop: Shop) -> None:
    with RegistrySimulator() as slow:
        shop.put_policy()
        shop.put_policy(
            "slow", images=[{"repository": f"{slow.host}/team/app"}, {"repository": f"{shop.host}/shop/slow"}]
        )
        with running(shop, insecure=[slow.host]):
            shop.wait_for_baseline()
            shop.wait_for_baseline(name="slow")
            slow.faults.hang("/v2/team/app/manifests")
            for number in range(8):
                pushed = slow.push_image("team/app", f"v{number}", content=b"%d" % number)
                shop.request("team/app", f"v{number}", pushed, policy="slow", accepted=later(), host=slow.host)
            digest = shop.registry.push_image("shop/web", "v1")
            shop.wait_until_signed(shop.request("shop/web", "v1", digest, accepted=later()))


def test_baselines_are_kept_in_objects_of_the_policy(shop: Shop) -> None:
    shop.registry.push_image("shop/web", "v1")
    policy = shop.put_policy()
    with running(shop):
        shop.wait_for_baseline()
        shop.put_policy(images=[{"repository": f"{shop.host}/shop/web"}])
        shop.cluster.wait_for(lambda _: shop.status()["baseline"]["entries"] == 1)
    (stored,) = shop.cluster.find("signingbaselines")
    assert stored["metadata"]["ownerReferences"][0]["uid"] == policy["metadata"]["uid"]
    assert stored["metadata"]["namespace"] == "sealgate"


def test_unlisted_secret_is_never_read(shop: Shop) -> None:
    shop.put_policy(key={"secretRef": {"name": "other", "key": "key.pem"}})
    with running(shop):
        shop.wait_for_reason("KeyNotReady")
    assert not [request for request in shop.cluster.requests if request.path.startswith(f"{SECRETS}/other")]
