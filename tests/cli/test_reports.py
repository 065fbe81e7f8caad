"""SARIF and JUnit of `sealgate verify`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.objects import deployment, dump, pod, write
from tests.support.builders.objects import policy
from tests.support.reports import read_junit, read_sarif

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.shop import Shop


@pytest.fixture
def manifests(shop: Shop, tmp_path: Path) -> Path:
    write(
        shop.policies / "more.yaml",
        policy("audit", f"{shop.registry.host}/shop/signed", authenticators=["qa-key"], action="Audit"),
        policy("warn", f"{shop.registry.host}/shop/signed", authenticators=["qa-key"], action="Warn"),
    )
    images = [shop.image(name) for name in ("signed", "unsigned", "gone")]
    return write(
        tmp_path / "my manifests.yaml",
        deployment("web", *images, namespace="shop"),
        pod("one", shop.image("unsigned"), "elsewhere.example.org/app:1", "not a reference", namespace="team"),
    )


def test_sarif_has_a_result_for_each_policy_that_is_not_met(shop: Shop, manifests: Path) -> None:
    ran = shop.verify("-f", manifests, "-o", "sarif")
    assert ran.exit_code == 3
    run = read_sarif(ran.stdout)
    found = {
        (result["properties"]["namespace"], result["properties"]["policy"], result["level"], result["ruleId"])
        for result in run["results"]
    }
    assert found == {
        ("shop", "audit", "note", "InvalidSignature"),
        ("shop", "warn", "warning", "InvalidSignature"),
        ("shop", "shop", "error", "NoSignature"),
        ("shop", "shop", "error", "ImageNotFound"),
        ("team", "shop", "error", "NoSignature"),
        ("team", "", "error", "InvalidReference"),
    }
    assert run["invocations"] == [{"executionSuccessful": True}]


def test_sarif_names_file_and_object(shop: Shop, manifests: Path) -> None:
    run = read_sarif(shop.verify("-f", manifests, "-o", "sarif").stdout)
    (result,) = (r for r in run["results"] if r["properties"]["namespace"] == "shop" and r["ruleId"] == "NoSignature")
    (location,) = result["locations"]
    assert location["physicalLocation"]["artifactLocation"]["uri"] == manifests.as_uri()
    assert location["logicalLocations"][0]["fullyQualifiedName"] == (
        "shop/Deployment/web/spec.template.spec.containers[1].image"
    )


def test_sarif_fingerprints_do_not_change_with_the_verdict(shop: Shop) -> None:
    def fingerprint(name: str) -> str:
        run = read_sarif(shop.verify(shop.image("unsigned"), shop.image(name), "-o", "sarif").stdout)
        return str(run["results"][0]["partialFingerprints"])

    assert fingerprint("signed") == fingerprint("gone")


def test_junit_has_a_suite_for_each_namespace(shop: Shop, manifests: Path) -> None:
    ran = shop.verify("-f", manifests, "-o", "junit")
    assert ran.exit_code == 3
    root = read_junit(ran.stdout)
    assert [suite.get("name") for suite in root] == ["shop", "team"]
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("8", "3", "1")
    shop_suite, team = root
    failed = shop_suite.find(f"testcase[@name='{shop.image('unsigned')}']/failure")
    assert failed is not None
    assert failed.get("type") == "NoSignature"
    assert failed.text is not None
    assert failed.text.startswith("used by Deployment shop/web, spec.template.spec.containers[1].image (")
    audited = shop_suite.find("testcase[@classname='shop.audit']/system-out")
    assert audited is not None
    assert audited.text is not None
    assert "policy audit (Audit): 0 of 1 met" in audited.text
    assert team.get("skipped") == "1"


@pytest.mark.parametrize(("form", "read"), [("sarif", read_sarif), ("junit", read_junit)])
def test_images_that_are_admitted_are_no_problem(shop: Shop, form: str, read: object) -> None:
    ran = shop.verify(shop.image("signed"), "-o", form)
    assert ran.exit_code == 0
    assert callable(read)
    assert "failure>" not in ran.stdout
    assert read(ran.stdout) is not None


def test_objects_that_cannot_be_read_are_in_both(shop: Shop) -> None:
    text = dump(pod("good", shop.image("signed")), {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bad"}})
    sarif = shop.verify("-f", "-", "-o", "sarif", stdin=text)
    assert sarif.exit_code == 2
    (invocation,) = read_sarif(sarif.stdout)["invocations"]
    assert invocation["executionSuccessful"] is False
    assert "Pod default/bad" in invocation["toolExecutionNotifications"][0]["message"]["text"]
    root = read_junit(shop.verify("-f", "-", "-o", "junit", stdin=text).stdout)
    assert root[-1].get("name") == "sealgate: not read"
    assert root.get("errors") == "1"


def test_unmatched_images_fail_where_they_are_denied(shop: Shop) -> None:
    arguments = ("elsewhere.example.org/app:1", "--unmatched", "deny", "--namespace", "team")
    (result,) = read_sarif(shop.verify(*arguments, "-o", "sarif").stdout)["results"]
    assert (result["ruleId"], result["level"]) == ("NoPolicyMatches", "error")
    root = read_junit(shop.verify(*arguments, "-o", "junit").stdout)
    assert root.find("testsuite[@name='team']/testcase/failure") is not None
