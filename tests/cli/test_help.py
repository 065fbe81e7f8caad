from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner

from sealgate.cli.app import cli
from sealgate.cli.commands.signatures_delete import delete
from tests.cli.clusters import API, kubeconfig
from tests.cli.objects import deployment, dump, write
from tests.cli.running import sealgate
from tests.cli.shop import RELEASE
from tests.support.builders.cluster_image_policies import KEY, cluster_image_policy
from tests.support.builders.kritis import attestation_policy, authority
from tests.support.builders.objects import authenticator, policy
from tests.support.signers.cosign import Classic, push_classic
from tests.support.signers.private_keys import public_pem
from tests.support.simulators.kubernetes import KubernetesSimulator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.simulators.registry import RegistrySimulator

IMAGE = "registry.example.org/shop/web:1.0"
#: A line of the decision log, with the members that decide what is found.
DECISION = {
    "decision_id": "u7ryfqg2-3kzbn5ol",
    "decision_version": 1,
    "namespace": "shop",
    "images": [{"image": IMAGE, "verdict": "deny", "reason": "NoSignature"}],
}


def commands(group: click.Group, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, (*above, name))
        else:
            yield (*above, name), command


COMMANDS = dict(commands(cli)) | {("signatures", "delete"): delete}

#: Commands that write reports for other tools too.
REPORTS = {("verify",), ("scan",)}


def examples_of(path: tuple[str, ...]) -> list[str]:
    return re.findall(r"^    \$ (.*)$", sealgate(*path, "--help").stdout, re.MULTILINE)


EXAMPLES = [(path, example) for path in [(), *COMMANDS] for example in examples_of(path)]


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_has_purpose_examples_and_exit_codes(path: tuple[str, ...]) -> None:
    shown = sealgate(*path, "--help")
    assert shown.exit_code == 0
    assert examples_of(path)
    assert f"--output [{'text|json|sarif|junit' if path in REPORTS else 'text|json'}]" in shown.stdout
    assert shown.stdout == sealgate(*path, "-h").stdout
    assert "Exit codes: 0 " in shown.stdout


@pytest.mark.parametrize(
    "path", [(), ("policy",), ("key",), ("notary",), ("signatures",)], ids=lambda path: " ".join(path) or "sealgate"
)
def test_groups_list_their_commands(path: tuple[str, ...]) -> None:
    shown = sealgate(*path, "--help").stdout
    for command in COMMANDS:
        if command[: len(path)] == path and command != path:
            assert re.search(rf"^  {command[len(path)]} ", shown, re.MULTILINE)


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_option_is_explained(path: tuple[str, ...]) -> None:
    for parameter in COMMANDS[path].params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name


def test_unknown_command_is_a_usage_error() -> None:
    ran = sealgate("verfy")
    assert ran.exit_code == 2
    assert "No such command 'verfy'" in ran.stderr


@pytest.fixture
def checkout(tmp_path: Path, registry: RegistrySimulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Make a folder in which the examples mean something."""
    digest = registry.push_image("shop/web", "1.0")
    push_classic(registry, "shop/web", Classic(digest, RELEASE))
    write(tmp_path / "policies/release-key.yaml", authenticator("release-key", public_pem(RELEASE)))
    write(
        tmp_path / "policies/production.yaml",
        policy("production", "registry.example.org/**", authenticators=["release-key"]),
    )
    write(tmp_path / "deployment.yaml", deployment("web", IMAGE))
    (tmp_path / "release.pub").write_text(public_pem(RELEASE))
    write(tmp_path / "kritis.yaml", authority(), attestation_policy("signed", "qa"))
    (tmp_path / "sealgate.log").write_text(f"{json.dumps(DECISION)}\n")
    (tmp_path / "passphrase.txt").write_text("open sesame\n")
    (tmp_path / "policy.json").write_text('{"default": [{"type": "reject"}]}')
    (tmp_path / "registries.d").mkdir()
    write(tmp_path / "cluster-image-policies.yaml", cluster_image_policy(KEY))
    (tmp_path / "trusted_root.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    for name in ("VERIFY", "SIGNATURES", "SCAN"):
        monkeypatch.setenv(f"EXAMPLE_{name}_MIRRORS", f"registry.example.org={registry.host}")
        monkeypatch.setenv(f"EXAMPLE_{name}_INSECURE", registry.host)
    with KubernetesSimulator() as cluster:
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, cluster.url, current="production")))
        for path, obj in (
            ("authenticators", authenticator("release-key", public_pem(RELEASE))),
            ("verificationpolicies", policy("production", "registry.example.org/**", authenticators=["release-key"])),
        ):
            cluster.put(f"{API}/{path}", obj)
        cluster.put("/apis/apps/v1/namespaces/shop/deployments", deployment("web", IMAGE, namespace="shop"))
        yield tmp_path


#: Commands whose examples are parsed, not run: they serve, write to a registry by its own name, or examine a release.
PARSED = {
    ("serve",),
    ("sign",),
    ("attest",),
    ("doctor",),
    ("signatures", "delete"),
    *(path for path in COMMANDS if path[0] == "notary"),
}
#: What the commands before the pipe would print.
PIPED = {
    "helm": dump(deployment("web", IMAGE)),
    "kubectl": json.dumps({"apiVersion": "v1", "kind": "List", "items": [deployment("web", IMAGE, namespace="shop")]}),
    "cosign": public_pem(RELEASE),
}


@pytest.mark.parametrize("example", [text for path, text in EXAMPLES if path not in PARSED])
def test_every_example_works_verbatim(checkout: Path, example: str) -> None:
    assert checkout.is_dir()
    *before, command = (shlex.split(part) for part in example.split("|"))
    stdin = PIPED[before[0][0]] if before else None
    assert command[0] == "sealgate"
    ran = CliRunner().invoke(cli, command[1:], input=stdin, auto_envvar_prefix="EXAMPLE")
    assert ran.exit_code == 0, ran.output


@pytest.mark.parametrize(("path", "example"), [(path, text) for path, text in EXAMPLES if path in PARSED])
def test_every_example_of_other_commands_is_good_usage(path: tuple[str, ...], example: str) -> None:
    arguments = shlex.split(example)[1 + len(path) :]
    with COMMANDS[path].make_context(path[-1], arguments) as context:
        assert context.params
