"""Support bundles of `sealgate doctor`: no secret in their bytes, and no name that leads out of their folder."""

from __future__ import annotations

import base64
import json
import tarfile
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.clusters import API, kubeconfig
from tests.cli.installed import DEPLOYMENTS, NAMESPACE, OPERATOR, Installed, labels
from tests.cli.shop import open_shop
from tests.operator.environment import CONFIG_MAPS, WORKLOADS
from tests.support.builders.objects import api_object
from tests.support.signers.private_keys import new_key, public_pem
from tests.support.simulators.kubernetes import Fault, KubernetesSimulator
from tests.support.simulators.registry import RegistrySimulator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: A secret without any form by which it could be known.
CANARY = "canarysong7"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
EVENTS = f"/api/v1/namespaces/{NAMESPACE}/events"
POD = {"spec": {"containers": [{"name": "webhook", "image": "x"}]}}
#: The secret in the forms that texts have.
TEXTS = (
    f"https://ann:{CANARY}@registry.example.org/v2/",
    f"GET https://storage.example.org/blob?X-Amz-Signature={CANARY}",
    f"Authorization: Bearer {CANARY}",
    f"authorization: Basic {CANARY}",
    f"Authorization: Token {CANARY}",
    f"authorization: AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature={CANARY}",
    f"Cookie: theme=dark; session={CANARY}",
    f'tokens: ["a", "{CANARY}"]',
    f'{{"auths": {{"registry.example.org": {{"auth": "{CANARY}"}}}}}}',
    f'{{"level": "info", "msg": "{{\\"password\\": \\"{CANARY}\\"}}"}}',
    json.dumps({"msg": json.dumps({"body": json.dumps({"token": f'a"{CANARY}'}), "more": 1})}),
    f"password={CANARY}",
    f"password: |\n  {CANARY}\n  {CANARY}\n",
    f"the secret_key is set: secret_key: '{CANARY} {CANARY}'",
    f"run --registry-token {CANARY}",
    f"accessKeySecret={CANARY}",
    f"Vault refuses hvs.{CANARY}",
    f"Google refuses ya29.{CANARY}",
    f"-----BEGIN PRIVATE KEY-----\n{CANARY}\n-----END PRIVATE KEY-----",
    f"-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n{CANARY}",
    f"-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n{CANARY}\n-----END PGP PRIVATE KEY BLOCK-----",
    f"token eyJhbGciOiJub25lIn0.{CANARY}.{CANARY}",
)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installed]:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with RegistrySimulator() as registry, KubernetesSimulator() as api:
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, api.url)))
        yield Installed(api, open_shop(registry, tmp_path), datetime.now(UTC))


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        found = archive.getmembers()
        assert all(member.isreg() for member in found)
        return {member.name: archive.extractfile(member).read() for member in found}  # type: ignore[union-attr]  # regular


def put_secrets_everywhere(installed: Installed, text: str) -> None:
    """Put a text with a secret, and secrets that nothing marks as such, wherever a cluster has room for them."""
    api, encoded = installed.api, base64.b64encode(CANARY.encode()).decode()
    hidden: dict[str, Any] = {
        "annotations": {"note": CANARY, "kubectl.kubernetes.io/last-applied-configuration": CANARY}
    }
    hidden |= {"managedFields": [{"manager": CANARY}], "labels": {**labels("webhook"), "team": CANARY}}
    for name in ("dew", "sealgate-webhook-tls"):
        api.put(f"/api/v1/namespaces/{NAMESPACE}/secrets", {"metadata": {"name": name}, "data": {"token": encoded}})
    container = {
        "name": "webhook",
        "image": "registry.example.org/sealgate:1",
        "env": [{"name": "PASSWORD", "value": CANARY}, {"name": "PLAIN", "value": CANARY}],
        "args": [CANARY, f"--token={CANARY}"],
        "command": ["sh", "-c", CANARY],
        "livenessProbe": {"httpGet": {"httpHeaders": [{"name": "X", "value": CANARY}]}},
        "lifecycle": {"preStop": {"exec": {"command": [CANARY]}}},
    }
    ended = {"name": "webhook", "restartCount": 1, "lastState": {"terminated": {"message": text}}}
    status = {"phase": "Running", "message": text, "containerStatuses": [ended]}
    spec = {"containers": [container], "initContainers": [{**container, "name": "init"}], "volumes": [{"name": CANARY}]}
    api.put(PODS, {"metadata": {"name": "webhook-1", **hidden}, "spec": spec, "status": status})
    template = {"metadata": {"annotations": {"note": CANARY}}, "spec": spec}
    ready = {"replicas": 2, "readyReplicas": 2, "updatedReplicas": 2, "conditions": [{"message": text}]}
    deployment = {"spec": {"replicas": 2, "template": template}, "status": ready}
    api.put(DEPLOYMENTS, {"metadata": {"name": "sealgate-webhook", **hidden}, **deployment})
    about = {"apiVersion": "sealgate.dev/v1alpha1", "kind": "Authenticator", "name": "qa-key"}
    api.put(EVENTS, {"metadata": {"name": "one", **hidden}, "involvedObject": about, "message": text})
    elsewhere = EVENTS.replace(NAMESPACE, "default")
    api.put(elsewhere, {"metadata": {"name": "two"}, "involvedObject": about, "message": text})
    other = {"apiVersion": "v1", "kind": "Pod", "name": "shop"}
    api.put(elsewhere, {"metadata": {"name": "three"}, "involvedObject": other, "message": CANARY})
    settings = api.get(OPERATOR)
    settings["data"] |= {"notes": CANARY}
    settings["data"]["config.yaml"] += f"\nextra: |\n  {text}\n".replace("\n-", "\n  -").replace("\ncan", "\n  can")
    api.put(CONFIG_MAPS, settings)
    api.put(CONFIG_MAPS, {"metadata": {"name": "theirs"}, "data": {"config.yaml": CANARY}})
    keys = [{"id": "key", "pem": public_pem(new_key("ECDSA P-256", "release"))}]
    acr = {"endpoint": "https://cr.example.org", "parameters": {"InstanceId": CANARY}}
    grafeas = {"acr": acr, "note": "n", "keys": keys, "credentialsSecret": {"name": "dew"}}
    obj = api_object("Authenticator", "acr", {"grafeas": grafeas, "unknown": {"password": CANARY, "text": text}})
    obj["metadata"] |= {"annotations": hidden["annotations"]}
    installed.put_ready("authenticators", api.put(f"{API}/authenticators", obj), "False", text)
    installed.alter(WORKLOADS, lambda found: found["webhooks"][0].update(matchConditions=[{"expression": text}]))
    log = {"status": 200, "times": None, "document": {"msg": text, "token": CANARY}}
    api.faults.append(Fault("GET", r"/log\?", **log))  # type: ignore[arg-type]  # the values of its fields
    api.faults.append(Fault("GET", r"/proxy/metrics", **log))  # type: ignore[arg-type]  # as above


@pytest.mark.parametrize("text", TEXTS)
def test_attack_115_bundle_has_no_secret(installed: Installed, tmp_path: Path, text: str) -> None:
    put_secrets_everywhere(installed, text)
    config = tmp_path / "docker.json"
    auths = {installed.shop.registry.host: {"username": "ann", "password": CANARY}}
    config.write_text(json.dumps({"auths": auths}))
    path = tmp_path / "bundle.tar.gz"
    ran = installed.doctor("--bundle", path, "--docker-config", config, "--output", "json")
    assert ran.exit_code in (1, 3), ran.output
    found = members(path)
    folders = {name.split("/")[1] for name in found}
    assert folders == {"objects", "logs", "metrics", "doctor.json", "contents.json"}
    assert any(name.endswith("previous.log") for name in found)
    encoded = base64.b64encode(CANARY.encode()).rstrip(b"=")
    leaks = [name for name, content in found.items() if CANARY.encode() in content or encoded in content]
    assert leaks == []
    assert not [path for path in installed.paths() if "/secrets" in path]
    # What helps is there.
    everything = b"".join(found.values())
    assert all(
        word in everything for word in (b"PASSWORD", b"qa-key", b"failurePolicy", b"release-key", b"restartCount")
    )


def test_attack_115_bundle_is_readable_by_its_owner_only_and_overwrites_nothing(
    installed: Installed, tmp_path: Path
) -> None:
    path = tmp_path / "bundle.tar.gz"
    assert installed.doctor("--bundle", path).exit_code == 0
    assert path.stat().st_mode & 0o777 == 0o600
    before = path.read_bytes()
    ran = installed.doctor("--bundle", path)
    assert (ran.exit_code, path.read_bytes()) == (2, before)
    assert "is not overwritten" in ran.output
    link, target = tmp_path / "link", tmp_path / "target"
    link.symlink_to(target)
    assert installed.doctor("--bundle", link).exit_code == 2
    assert not target.exists()


def test_attack_115_bundle_that_fails_leaves_no_file(installed: Installed, tmp_path: Path) -> None:
    path = tmp_path / "bundle.tar.gz"
    config = tmp_path / "docker.json"
    config.write_text("not JSON")
    assert installed.doctor("--bundle", path, "--docker-config", config).exit_code == 2
    assert not path.exists()
    assert installed.doctor("--bundle", tmp_path / "missing/bundle.tar.gz").exit_code == 2


def test_attack_115_bundle_names_what_could_not_be_read(installed: Installed, tmp_path: Path) -> None:
    installed.api.put(PODS, {"metadata": {"name": "pod-1", "labels": labels("webhook")}, **POD})
    refused = ("/events", "/customresourcedefinitions/auth", "/log", "/proxy")
    installed.api.faults += [Fault("GET", path, 403) for path in refused]
    path = tmp_path / "bundle.tar.gz"
    installed.doctor("--bundle", path)
    found = members(path)
    notes = json.loads(found["sealgate-bundle/contents.json"])["leftOut"]
    beginnings = (EVENTS, "authenticators.sealgate.dev", "logs pod-1 webhook.log", "metrics pod-1.txt")
    assert all(any(note.startswith(each) for note in notes) for each in beginnings), notes
    assert any("/objects/Pod/pod-1.json" in name for name in found)


def test_attack_115_bundle_is_bounded(installed: Installed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, limit in (("MAX_OBJECTS", 3), ("MAX_PODS", 1), ("MAX_OBJECT_BYTES", 2000), ("MAX_LOG_BYTES", 300)):
        monkeypatch.setattr(f"sealgate.cli.inputs.bundle_contents.{name}", limit)
    for number in range(4):
        installed.api.put(PODS, {"metadata": {"name": f"pod-{number}", "labels": labels("webhook")}, **POD})
    large = {"metadata": {"name": "large"}, "message": "x" * 3000}
    installed.api.put(EVENTS, large)
    path = tmp_path / "bundle.tar.gz"
    installed.doctor("--bundle", path)
    found = members(path)
    contents = json.loads(found["sealgate-bundle/contents.json"])
    assert len([name for name in found if "/objects/Pod/" in name]) == 3
    assert [len(content) for name, content in found.items() if "/logs/" in name] == [300]
    notes = " ".join(contents["leftOut"])
    assert all(words in notes for words in ("more than 3 objects", "2 further pods", "larger than 2000 bytes"))
    monkeypatch.setattr("sealgate.cli.inputs.bundle_contents.MAX_BYTES", 5000)
    other = tmp_path / "other.tar.gz"
    installed.doctor("--bundle", other)
    found = members(other)
    assert sum(len(content) for name, content in found.items() if name.count("/") > 1) <= 5000
    assert "the bundle has 5000 bytes" in found["sealgate-bundle/contents.json"].decode()


#: In groups of as many as a bundle has logs of, which is 20 pods.
HOSTILE = (
    ("../../etc/cron.d/x", "/etc/passwd", "..", ".", "a\x00b", "\x1b[31m"),
    ("x" * 300, "A", "a", "con\u202e", ""),
)


@pytest.mark.parametrize("hostile", HOSTILE, ids=["paths", "letters"])
def test_attack_116_names_stay_inside_the_folder_of_the_bundle(
    installed: Installed, tmp_path: Path, hostile: tuple[str, ...]
) -> None:
    for name in [name + end for name in hostile for end in ("", "?", "!")]:
        spec = {"containers": [{"name": name, "image": "x"}]}
        installed.api.fill(PODS, [{"metadata": {"name": name, "labels": labels("webhook")}, "spec": spec}])
        installed.api.fill(EVENTS, [{"metadata": {"name": name}, "message": "x"}])
    log = {"status": 200, "document": {"msg": "x"}}
    installed.api.faults.append(Fault("GET", r"/log", **log))  # type: ignore[arg-type]  # the values of its fields
    path = tmp_path / "bundle.tar.gz"
    ran = installed.doctor("--bundle", path)
    assert ran.output.replace("\n", "").isprintable()
    with tarfile.open(path) as archive:
        names = archive.getnames()
        for part in ("/objects/Pod/", "/objects/Event/", "/logs/"):
            assert len([one for one in names if part in one]) == 3 * len(hostile), part
        assert len({one.lower() for one in names}) == len(names)
        assert all(len(part) <= 110 for one in names for part in one.split("/"))
        assert all(part not in {"", ".", ".."} for one in names for part in one.split("/"))
        assert all(one.startswith("sealgate-bundle/") and one.isascii() and one.isprintable() for one in names)
        folder = tmp_path / "out"
        archive.extractall(folder, filter="data")
    assert {one.name for one in tmp_path.iterdir()} >= {"out", "bundle.tar.gz"}
    assert [one.name for one in folder.iterdir()] == ["sealgate-bundle"]
