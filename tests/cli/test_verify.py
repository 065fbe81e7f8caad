from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.objects import namespace, write
from tests.cli.running import sealgate
from tests.cli.shop import QA, RELEASE, RELEASE_FINGERPRINT, Shop, open_shop
from tests.support.builders.objects import authenticator, policy
from tests.support.signers.private_keys import fingerprint, public_pem
from tests.support.simulators.registry import RegistrySimulator

if TYPE_CHECKING:
    from pathlib import Path


def entries(shop: Shop, *args: object) -> list[dict[str, Any]]:
    document: list[dict[str, Any]] = json.loads(shop.verify(*args, "--output", "json").stdout)
    return document


@pytest.mark.parametrize(
    ("names", "code"),
    [
        (["signed"], 0),
        (["unsigned"], 1),
        (["foreign"], 1),
        (["copied"], 1),
        (["gone"], 3),
        (["signed", "unsigned"], 1),
        (["gone", "signed", "unsigned"], 3),
    ],
)
def test_the_exit_code_is_the_worst_of_all_images(shop: Shop, names: list[str], code: int) -> None:
    assert shop.verify(*map(shop.image, names)).exit_code == code


def test_a_signed_image_is_admitted_with_the_key_that_counted(shop: Shop) -> None:
    (entry,) = entries(shop, shop.image("signed"))
    assert entry == {
        "image": shop.image("signed"),
        "namespace": None,
        "objects": [],
        "furtherObjects": 0,
        "subject": shop.digests["signed"],
        "verdict": "admit",
        "coverage": "covered",
        "policies": [
            {
                "name": "shop",
                "action": "Enforce",
                "satisfied": 1,
                "required": 1,
                "findings": [
                    {
                        "authenticator": "release-key",
                        "format": "cosign",
                        "outcome": "verified",
                        "reason": "Verified",
                        "message": f"signed by {RELEASE_FINGERPRINT}",
                        "keyFingerprints": [RELEASE_FINGERPRINT],
                        "signatures": 1,
                    }
                ],
            }
        ],
    }


def test_text_output_has_a_reason_for_every_signature(shop: Shop) -> None:
    shown = shop.verify(shop.image("both")).stdout
    lines = [line for line in shown.splitlines() if "layer" in line]
    assert ["does not count" in line for line in lines] == [True, True, False]
    assert f"key {RELEASE_FINGERPRINT}" in lines[2]
    assert shown.startswith(f"ADMIT  {shop.image('both')}  in namespace default\n")
    assert "policy shop (Enforce): met, 1 of 1 required" in shown
    assert "release-key (cosign): verified" in shown


def test_the_text_ends_with_a_table_and_a_count(shop: Shop) -> None:
    shown = shop.verify(*map(shop.image, ["signed", "foreign", "gone"]), "elsewhere.example.org/x").stdout
    *_, header, _, signed, foreign, gone, elsewhere, _, count = shown.splitlines()
    assert [cell.strip() for cell in header.split("┃")] == ["Verdict", "Image", "Subject", "Why"]
    assert [cell.strip() for cell in signed.split("│")][::3] == ["admit", "met: shop"]
    assert foreign.startswith("deny ")
    assert gone.startswith("unavailable ")
    assert "ImageNotFound (shop)" in gone
    assert "NoPolicyMatches" in elsewhere
    assert count == "4 images: 2 admitted, 1 denied, 1 not determined (1 verified, 0 exempt, 1 unmatched)"


def test_results_have_the_order_of_the_arguments(shop: Shop) -> None:
    names = ["gone", "signed", "unsigned", "signed", "copied", "both"] * 6
    assert [entry["image"] for entry in entries(shop, *map(shop.image, names))] == list(map(shop.image, names))


def test_two_authenticators_can_be_required(shop: Shop) -> None:
    write(
        shop.policies / "two.yaml",
        policy("two", f"{shop.registry.host}/shop/both", authenticators=["qa-key", "release-key"]),
    )
    (entry,) = entries(shop, shop.image("both"))
    by_name = {found["name"]: found for found in entry["policies"]}
    assert (by_name["two"]["satisfied"], by_name["two"]["required"]) == (2, 2)
    keys = [finding["keyFingerprints"] for finding in by_name["two"]["findings"]]
    assert keys == [[fingerprint(QA)], [RELEASE_FINGERPRINT]]


def test_warning_admits_and_is_shown(shop: Shop) -> None:
    write(shop.policies / "shop.yaml", *_warn_only(shop))
    warned = shop.verify(shop.image("unsigned"))
    assert warned.exit_code == 0
    assert warned.stdout.startswith("WARN ")
    assert "1 image: 1 with a warning" in warned.stdout


def _warn_only(shop: Shop) -> list[dict[str, Any]]:
    return [
        authenticator("release-key", public_pem(RELEASE)),
        policy("shop", f"{shop.registry.host}/**", authenticators=["release-key"], action="Warn"),
    ]


@pytest.mark.parametrize(
    ("unmatched", "verdict", "code"), [("admit", "admit", 0), ("warn", "warn", 0), ("deny", "deny", 1)]
)
def test_option_decides_about_unmatched_images(shop: Shop, unmatched: str, verdict: str, code: int) -> None:
    verified = shop.verify("elsewhere.example.org/x", "--unmatched", unmatched, "-o", "json")
    assert verified.exit_code == code
    assert json.loads(verified.stdout) == [
        {
            "image": "elsewhere.example.org/x",
            "namespace": None,
            "objects": [],
            "furtherObjects": 0,
            "subject": None,
            "verdict": verdict,
            "coverage": "unmatched",
            "policies": [],
        }
    ]
    assert "no verification policy covers it" in verified.stderr


def test_namespaces_decide_which_policies_cover_an_image(shop: Shop) -> None:
    selector = {"matchLabels": {"env": "production"}}
    write(
        shop.policies / "production.yaml",
        policy("production", f"{shop.registry.host}/**", authenticators=["qa-key"], namespaceSelector=selector),
        namespace("live", env="production"),
        namespace("test"),
    )
    image = shop.image("signed")

    def policies(*args: object) -> list[str]:
        return [found["name"] for found in entries(shop, image, *args)[0]["policies"]]

    # The namespace of the image is not given, so the policy may select it.
    assert policies() == ["production", "shop"]
    assert policies("--namespace", "test") == ["shop"]
    assert policies("--namespace", "live") == ["production", "shop"]
    assert policies("--namespace-label", "env=production") == ["production", "shop"]
    assert policies("--namespace", "live", "--namespace-label", "env=test") == ["shop"]


def test_every_namespace_has_the_label_of_its_name(shop: Shop) -> None:
    selector = {"matchLabels": {"kubernetes.io/metadata.name": "live"}}
    write(shop.policies / "live.yaml", policy("live", "**", authenticators=["release-key"], namespaceSelector=selector))
    (entry,) = entries(shop, shop.image("signed"), "--namespace", "live")
    assert [found["name"] for found in entry["policies"]] == ["live", "shop"]
    lie = ("--namespace-label", "kubernetes.io/metadata.name=live")
    (entry,) = entries(shop, shop.image("signed"), *lie, "--namespace", "other")
    assert [found["name"] for found in entry["policies"]] == ["shop"]


def test_a_loopback_registry_needs_leave(shop: Shop) -> None:
    verified = sealgate("verify", shop.image("signed"), "--policies", shop.policies, "-o", "json")
    assert verified.exit_code == 3
    (entry,) = json.loads(verified.stdout)
    assert entry["policies"][0]["findings"][0]["reason"] == "AddressForbidden"
    assert shop.registry.requests == []


def test_credentials_are_read_from_the_docker_config(shop: Shop, tmp_path: Path) -> None:
    shop.registry.auth.mode = "basic"
    shop.registry.auth.users = {"ann": "secret"}
    config = tmp_path / "docker.json"
    config.write_text(json.dumps({"auths": {shop.registry.host: {"username": "ann", "password": "secret"}}}))
    assert shop.verify(shop.image("signed")).exit_code == 3
    assert shop.verify(shop.image("signed"), "--docker-config", config).exit_code == 0
    home = tmp_path / "home/.docker/config.json"
    home.parent.mkdir(parents=True)
    home.write_text(config.read_text())
    assert shop.verify(shop.image("signed")).exit_code == 0


def test_unreadable_docker_config_entry_affects_only_itself(shop: Shop, tmp_path: Path) -> None:
    shop.registry.auth.mode = "basic"
    shop.registry.auth.users = {"robot": "s3cret"}
    config = tmp_path / "config.json"
    login = {"username": "robot", "password": "s3cret"}
    config.write_text(json.dumps({"auths": {"bad.example.org": {"auth": "hunter2!"}, shop.registry.host: login}}))
    result = shop.verify(shop.image("signed"), "--docker-config", config)
    assert result.exit_code == 0
    assert "the entry bad.example.org of" in result.stderr
    assert "hunter2" not in result.stderr


@pytest.mark.parametrize(
    ("variable", "name"),
    [
        ("DOCKER_CONFIG", "config.json"),
        ("REGISTRY_AUTH_FILE", "auth.json"),
        ("XDG_RUNTIME_DIR", "containers/auth.json"),
    ],
)
def test_credential_files_of_docker_and_podman_are_read(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, name: str
) -> None:
    shop.registry.auth.mode = "basic"
    shop.registry.auth.users = {"ann": "secret"}
    path = tmp_path / "place" / name
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"auths": {shop.registry.host: {"username": "ann", "password": "secret"}}}))
    monkeypatch.setenv(variable, str(path if variable == "REGISTRY_AUTH_FILE" else tmp_path / "place"))
    assert shop.verify(shop.image("signed")).exit_code == 0


def test_registry_with_a_private_ca_is_verified(tmp_path: Path) -> None:
    with RegistrySimulator(tls=True) as registry:
        secure = open_shop(registry, tmp_path)
        ca = tmp_path / "ca.pem"
        ca.write_text(registry.ca_pem)
        assert secure.verify(secure.image("signed")).exit_code == 3
        assert secure.verify(secure.image("signed"), "--registry-ca", f"{registry.host}={ca}").exit_code == 0


def test_mirror_is_used_first(shop: Shop) -> None:
    write(shop.policies / "pub.yaml", policy("public", "public.example.org/**", authenticators=["release-key"]))
    (entry,) = entries(
        shop, "public.example.org/shop/signed:1.0", "--registry-mirror", f"public.example.org={shop.registry.host}"
    )
    assert (entry["verdict"], entry["subject"]) == ("admit", shop.digests["signed"])


@pytest.mark.long
def test_silent_registry_takes_no_longer_than_the_timeout(shop: Shop) -> None:
    shop.registry.faults.hang("/shop/unsigned/")
    # Enough for the image of the responding registry on a busy machine.
    verified = shop.verify(*map(shop.image, ["unsigned", "signed"]), "--timeout", "10", "-o", "json")
    assert verified.exit_code == 3
    slow, fast = json.loads(verified.stdout)
    assert slow["policies"][0]["findings"][0]["reason"] == "DeadlineExceeded"
    assert fast["verdict"] == "admit"


def test_policies_may_be_named_by_the_environment(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEALGATE_POLICIES", str(shop.policies))
    verified = sealgate("verify", shop.image("signed"), "--insecure-registry", shop.registry.host)
    assert verified.exit_code == 0


@pytest.mark.parametrize(
    ("args", "why"),
    [
        ([], "name at least one image, or a manifest with -f"),
        (["UPPER/case/x:1:2"], "is not an image reference"),
        (["nginx", "--timeout", "0"], "0.0 is not in the range"),
        (["nginx", "--rate", "fast"], "not a valid float"),
        (["nginx", "--insecure-registry", "http://x"], "not a registry"),
        (["nginx", "--registry-ca", "x"], "x must have the form HOST=FILE"),
        (["nginx", "--registry-ca", "x.org=/nowhere"], "cannot read /nowhere: No such file or directory"),
        (["nginx", "--registry-mirror", "x.org"], "must have the form HOST=MIRROR"),
        (["nginx", "--namespace-label", "x"], "a label must have the form KEY=VALUE"),
        (["nginx", "--custom-kind", "x"], "x has no API group: write GROUP/x=spec.template.spec"),
        (["nginx", "--custom-kind", "example.org/X"], "write example.org/X=FIELD"),
        (["nginx", "--custom-kind", "example.org/X="], "'' is not a field"),
        (["nginx", "--custom-kind", "Rollout", "--custom-kind", "argoproj.io/Rollout=spec"], "configured twice"),
        (["nginx", "--custom-kind", "apps/Deployment=spec.template.spec"], "is built in and cannot be a custom kind"),
        (["nginx", "--docker-config", "/nowhere"], "the docker config /nowhere cannot be read"),
        (["nginx", "--policies", "/nowhere"], "/nowhere: cannot be read: No such file or directory"),
        (["nginx", "--output", "yaml"], "'yaml' is not one of 'text', 'json'"),
        (["nginx", "--unmatched", "ignore"], "'ignore' is not one of"),
    ],
)
def test_usage_error_is_one_message(shop: Shop, args: list[str], why: str) -> None:
    verified = shop.verify(*args)
    assert verified.exit_code == 2
    assert why in verified.stderr
    assert verified.stdout == ""
    assert "Traceback" not in verified.stderr


def test_policies_are_not_optional() -> None:
    verified = sealgate("verify", "nginx")
    assert verified.exit_code == 2
    assert "Missing option '--policies'" in verified.stderr


def test_a_bad_bundle_of_certificates_is_wrong_usage(shop: Shop, tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_text("no certificate")
    verified = shop.verify(shop.image("signed"), "--registry-ca", f"{shop.registry.host}={ca}")
    assert verified.exit_code == 2
    assert "Error: " in verified.stderr


def test_unreadable_credential_directory_is_ignored(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", "a" * 5000)
    assert shop.verify(shop.image("signed")).exit_code == 0
