"""On the command line: files made to crash, fill or mislead their readers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.keys import private_pem
from tests.cli.objects import dump, pod, write
from tests.cli.running import sealgate
from tests.support.builders.objects import authenticator, policy
from tests.support.signers.private_keys import new_key, public_pem

if TYPE_CHECKING:
    from pathlib import Path

KEY = new_key("ECDSA P-256", "release")
#: Clears a terminal, hides what follows, draws a green verdict.
ESCAPES = "\x1b[2J\x1b[8m\x1b[32mADMIT\x07\r\n\u202e"


@pytest.fixture
def policies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    everything = policy("everything", "**", authenticators=["release-key"])
    return write(tmp_path / "policies.yaml", authenticator("release-key", public_pem(KEY)), everything)


def bomb(line: str, count: int = 40) -> str:
    """Return anchors of which each repeats the one before nine times."""
    lines = ["a0: &a0 [x]" if "[" in line else "a0: &a0 {k: v}"]
    lines += [line.format(n=n, m=n - 1, all=", ".join([f"*a{n - 1}"] * 9)) for n in range(1, count)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 500_000,
        "{a: " * 500_000,
        '{"a":' * 500_000,
        "- " * 100_000,
        bomb("a{n}: &a{n} [{all}]") + "\nkind: Pod\n",
        bomb("a{n}: &a{n} {{<<: [{all}], k{n}: v}}") + "\nkind: Pod\nspec: 1\n",
        "kind: List\nitems: &i [{kind: List, items: *i}]\n",
        "kind: " + "9" * 1_000_000,
        "a: &a [*a]\n",
        "!!python/object/apply:os.system ['false']\n",
        "kind: Pod\nspec: !!binary aGVsbG8=\n",
        "%YAML 9.9\n---\n",
        "\ufeff\ufeffkind: Pod\n",
    ],
    ids=range(13),
)
def test_attack_33_manifests_made_to_crash_a_parser_are_refused(policies: Path, text: str) -> None:
    verified = sealgate("verify", "-f", "-", "--policies", policies, stdin=text)
    assert verified.exit_code == 2
    assert verified.stderr.startswith("Error: ")
    assert "because of a bug" not in verified.stderr
    assert len(verified.stderr) < 2000


def test_attack_33_lists_that_aliases_multiply_are_not_unfolded(policies: Path) -> None:
    lines = ["x0: &x0 {kind: ConfigMap}"]
    lines += [f"x{n}: &x{n} {{kind: List, items: [{', '.join([f'*x{n - 1}'] * 99)}]}}" for n in range(1, 7)]
    text = "\n".join([*lines, "kind: List", "items: [*x6]"])
    verified = sealgate("verify", "-f", "-", "--policies", policies, stdin=text)
    assert verified.exit_code == 2
    assert "those repeated by aliases too" in verified.stderr


@pytest.mark.parametrize(
    "args",
    [
        ["verify", "-f", "/dev/zero", "--policies", "{policies}"],
        ["verify", "nginx", "--policies", "/dev/zero"],
        ["verify", "nginx", "--policies", "{policies}", "--docker-config", "/dev/zero"],
        ["verify", "nginx", "--policies", "{policies}", "--registry-ca", "a.example.org=/dev/zero"],
        ["policy", "check", "/dev/zero"],
        ["key", "show", "/dev/zero"],
    ],
    ids=["manifest", "policies", "docker config", "CA bundle", "check", "key"],
)
def test_attack_32_files_without_end_are_not_read_to_the_end(policies: Path, args: list[str]) -> None:
    ran = sealgate(*(arg.format(policies=policies) for arg in args))
    assert ran.exit_code == 2
    assert "Error: " in ran.stderr or "problem" in ran.stdout


@pytest.mark.parametrize(
    "image",
    [
        "169.254.169.254/latest/meta-data:1",
        "127.0.0.1/x:1",
        "localhost/x:1",
        "[::1]:5000/x:1",
        "[fd00:ec2::254]/x:1",
        "0.0.0.0/x:1",
        "10.0.0.1:1/x:1",
    ],
)
def test_attack_37_images_lead_no_request_into_the_network_behind(policies: Path, image: str) -> None:
    verified = sealgate("verify", image, "--policies", policies, "-o", "json", "--timeout", "60")
    assert verified.exit_code == 3
    (entry,) = json.loads(verified.stdout)
    assert entry["policies"][0]["findings"][0]["reason"] == "AddressForbidden"


@pytest.mark.parametrize(
    "image", ["../../etc/passwd", "x.org/../y", "x.org/a/..%2f..%2fetc", "x.org/a:../b", "file:///etc"]
)
def test_attack_39_names_that_climb_out_are_no_images(policies: Path, image: str) -> None:
    assert sealgate("verify", image, "--policies", policies).exit_code == 2
    denied = sealgate("verify", "-f", "-", "--policies", policies, stdin=dump(pod("a", image)))
    assert denied.exit_code == 1


def hostile(field: str) -> dict[str, Any]:
    manifest = pod("web", f"{ESCAPES}[bold]x" if field == "image" else "UPPER")
    if field == "kind":
        manifest["kind"] = f"Pod{ESCAPES}"
    if field in ("name", "namespace"):
        manifest["metadata"][field] = f"{ESCAPES}[link=http://x]"
    if field == "container":
        manifest["spec"]["containers"][0]["name"] = ESCAPES
    return manifest


@pytest.mark.parametrize("field", ["image", "kind", "name", "namespace", "container"])
@pytest.mark.parametrize("output", ["text", "json"])
def test_attack_40_foreign_text_cannot_control_the_terminal(policies: Path, field: str, output: str) -> None:
    text = json.dumps(hostile(field))
    ran = sealgate("verify", "-f", "-", "--policies", policies, "-o", output, stdin=text)
    shown = ran.stdout + ran.stderr
    assert not any(c in shown for c in "\x1b\x07\r\u202e")
    assert not any(line.startswith("ADMIT") for line in shown.splitlines())


def test_attack_40_names_of_files_are_foreign_text_too(policies: Path, tmp_path: Path) -> None:
    path = tmp_path / f"a{ESCAPES}.yaml".replace("/", "")
    path.write_text("a: [")
    for args in (["policy", "check", path], ["verify", "-f", path, "--policies", policies], ["key", "show", path]):
        ran = sealgate(*args)
        assert ran.exit_code == 2
        assert not any(c in ran.stdout + ran.stderr for c in "\x1b\x07\r\u202e")


def test_attack_40_no_error_shows_a_secret(policies: Path, tmp_path: Path) -> None:
    secret = private_pem(KEY)
    body = secret.splitlines()[1]
    private = tmp_path / "cosign.key"
    private.write_text(secret)
    bad = write(tmp_path / "bad.yaml", authenticator("release-key", secret, secret + secret))
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"auths": {"x.org": {"auth": body, "password": body}}}) + "x")
    for args in (
        ["key", "show", private],
        ["policy", "check", bad],
        ["policy", "check", private],
        ["verify", "nginx", "--policies", bad],
        ["verify", "-f", private, "--policies", policies],
        ["verify", "nginx", "--policies", policies, "--docker-config", config],
        ["verify", "nginx", "--policies", policies, "--docker-config", private],
        ["verify", "x.org/a", "--policies", policies, "--registry-ca", f"x.org={private}"],
    ):
        ran = sealgate(*args)
        assert ran.exit_code == 2
        assert body not in ran.stdout + ran.stderr
