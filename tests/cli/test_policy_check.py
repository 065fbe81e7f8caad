from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from sealgate.api.v1alpha1.model import API_VERSION
from tests.cli.keys import private_pem
from tests.cli.objects import namespace, write
from tests.cli.running import sealgate
from tests.support.builders.objects import authenticator, policy
from tests.support.signers.private_keys import public_pem
from tests.support.signers.simple_signing import armored_key

if TYPE_CHECKING:
    from pathlib import Path

KEY = public_pem(ec.generate_private_key(ec.SECP256R1()))


def test_good_files_are_counted(tmp_path: Path) -> None:
    write(tmp_path / "policies/keys.yaml", authenticator("release-key", KEY), authenticator("qa-key", KEY))
    write(
        tmp_path / "policies/shop/policy.yml",
        policy("shop", "registry.example.org/shop/**", authenticators=["release-key"]),
    )
    checked = sealgate("policy", "check", tmp_path / "policies")
    assert checked.exit_code == 0
    assert checked.stdout == "2 Authenticators, 1 VerificationPolicy: no problems\n"
    assert checked.stderr == ""


def test_every_problem_is_named_with_file_line_field_and_suggestion(tmp_path: Path) -> None:
    keys = write(tmp_path / "keys.yaml", authenticator("release-key", KEY, anotations={"env": "prod"}))
    rules = write(
        tmp_path / "rules.yaml",
        policy("shop", "registry.example.org/{shop/**", authenticators=["release-key"]),
        policy("bank", "registry.example.org/bank/**", authenticators=["release-key"], action="Enforced"),
    )
    checked = sealgate("policy", "check", keys, rules)
    assert checked.exit_code == 2
    assert f"{keys}:" in checked.stdout
    assert "spec.cosign.anotations: unknown field\n    did you mean annotations?" in checked.stdout
    assert f"{rules}:7: spec.images[0].repository: " in checked.stdout
    assert (
        "spec.action: Enforced is not one of Enforce, Warn, Audit, Exempt\n    did you mean Enforce?" in checked.stdout
    )
    assert "3 problems found" in checked.stdout


def test_problems_as_json_have_the_same_parts(tmp_path: Path) -> None:
    path = write(tmp_path / "rules.yaml", policy("shop", "registry.example.org/**", authenticators=["release-key"]))
    checked = sealgate("policy", "check", "--output", "json", path)
    assert checked.exit_code == 2
    (problem,) = json.loads(checked.stdout)
    assert problem == {
        "file": str(path),
        "line": 10,
        "field": "spec.require.authenticators[0]",
        "message": "there is no Authenticator named release-key",
        "suggestion": "add it to the files",
    }


def test_good_files_as_json_are_an_empty_list(tmp_path: Path) -> None:
    path = write(tmp_path / "keys.yaml", authenticator("release-key", KEY))
    checked = sealgate("policy", "check", "-o", "json", path)
    assert (checked.exit_code, json.loads(checked.stdout)) == (0, [])


def test_every_bad_key_is_reported_with_its_field(tmp_path: Path) -> None:
    weak = public_pem(rsa.generate_private_key(65537, 1024))  # noqa: S505 - that it is refused is the test
    private = private_pem(ec.generate_private_key(ec.SECP256R1()))
    path = write(tmp_path / "keys.yaml", authenticator("release-key", KEY, weak, private))
    problems = json.loads(sealgate("policy", "check", "-o", "json", path).stdout)
    assert [problem["field"] for problem in problems] == ["spec.cosign.keys[1].pem", "spec.cosign.keys[2].pem"]
    assert "1024 bits" in problems[0]["message"]
    assert "private key" in problems[1]["message"]
    assert "BEGIN" not in json.dumps(problems).replace("-----BEGIN PUBLIC KEY-----", "")


def test_an_algorithm_that_does_not_fit_its_key_is_found(tmp_path: Path) -> None:
    wrong = authenticator("release-key", KEY)
    wrong["spec"]["cosign"]["keys"][0]["algorithm"] = "RSA_PSS_SHA_256"
    path = write(tmp_path / "keys.yaml", wrong)
    (problem,) = json.loads(sealgate("policy", "check", "-o", "json", path).stdout)
    assert "does not fit this ECDSA P-256 key" in problem["message"]


def test_options_that_only_the_format_can_judge_are_found(tmp_path: Path) -> None:
    path = write(tmp_path / "keys.yaml", authenticator("release-key", KEY, signatureRepository="Not/A/Repository"))
    (problem,) = json.loads(sealgate("policy", "check", "-o", "json", path).stdout)
    assert problem["field"].startswith("spec")
    assert "Not/A/Repository" in problem["message"]


@pytest.mark.parametrize("content", [KEY, "no key at all"])
def test_keys_in_secrets_are_checked(tmp_path: Path, content: str) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": {"a.pub": content}}
    key = authenticator("release-key")
    key["spec"]["cosign"]["keys"] = [{"secretRef": {"name": "keys", "key": "a.pub"}}]
    path = write(tmp_path / "keys.yaml", key, secret)
    checked = sealgate("policy", "check", "-o", "json", path)
    problems = json.loads(checked.stdout)
    assert [problem["field"] for problem in problems] == ([] if content == KEY else ["spec.cosign.keys[0].secretRef"])
    assert checked.exit_code == (2 if problems else 0)


def test_a_secret_that_is_missing_is_named_once(tmp_path: Path) -> None:
    key = authenticator("release-key")
    key["spec"]["cosign"]["keys"] = [{"secretRef": {"name": "keys", "key": "a.pub"}}]
    path = write(tmp_path / "keys.yaml", key)
    (problem,) = json.loads(sealgate("policy", "check", "-o", "json", path).stdout)
    assert problem["field"] == "spec.cosign.keys[0].secretRef.name"


def test_skipped_objects_are_reported_on_standard_error(tmp_path: Path) -> None:
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}}
    path = write(tmp_path / "all.yaml", authenticator("release-key", KEY), namespace("shop", env="prod"), service)
    checked = sealgate("policy", "check", path)
    assert checked.exit_code == 0
    assert "skipped: Service web" in checked.stderr
    assert "Service" not in checked.stdout


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("binary.yaml", b"\x00\xff\xfe\x80"),
        ("empty.yaml", b""),
        ("list.yaml", b"- a\n- b\n"),
        ("deep.yaml", b"[" * 100_000),
        (
            "bomb.yaml",
            b"a: &a [x,x,x,x,x,x,x,x]\n"
            + b"".join(
                b"%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c]\n" % ((c + 1, c + 1) + (c,) * 8) for c in range(97, 117)
            ),
        ),
        ("tags.yaml", b"apiVersion: !!python/object/apply:os.system ['true']\n"),
    ],
)
def test_files_that_are_no_policies_are_problems_and_no_traces(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    checked = sealgate("policy", "check", path)
    assert checked.exit_code == 2
    assert str(path) in checked.stdout + checked.stderr
    assert "Traceback" not in checked.output


def test_file_and_field_names_are_never_markup(tmp_path: Path) -> None:
    path = write(
        tmp_path / "[bold]a.yaml",
        authenticator("release-key", spec={"cosign": {"keys": [{"pem": KEY}], "[red]x": 1, "e\x1b[31mvil": 2}}),
    )
    checked = sealgate("policy", "check", path)
    assert "[bold]a.yaml" in checked.stdout
    assert "[red]x" in checked.stdout
    assert "\x1b" not in checked.stdout


def test_object_of_another_version_is_refused_with_the_supported_one(tmp_path: Path) -> None:
    newer = {**authenticator("release-key", KEY), "apiVersion": "sealgate.dev/v2"}
    checked = sealgate("policy", "check", write(tmp_path / "keys.yaml", newer))
    assert checked.exit_code == 2
    assert f"write {API_VERSION}" in checked.stdout


def test_expired_or_revoked_openpgp_keys_are_reported_not_errors(tmp_path: Path) -> None:
    store: dict[str, Any] = {"openshift": {}}
    keyring = armored_key("ed25519") + armored_key("revoked-as-retired")
    spec = {"simpleSigning": {"keyring": {"inline": keyring}, "store": store}}
    path = write(tmp_path / "keys.yaml", {**authenticator("ops"), "spec": spec})
    checked = sealgate("policy", "check", path)
    assert (checked.exit_code, checked.stdout) == (0, "1 Authenticator, 0 VerificationPolicies: no problems\n")
    (line,) = [line for line in checked.stderr.splitlines() if "OpenPGP key" in line]
    assert line.startswith(f"{path}:")
    assert "is revoked" in line
    assert line.endswith("signatures by it do not count")
