"""The examples of docs/client-certificates.md are consistent, and the webhook accepts their certificates."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.chart.rendering import NAMESPACE, find, render
from tests.support.real_tools.required import require_tool

EXAMPLES = Path(__file__).parents[2] / "examples" / "client-certificates"
#: Where the files are on a control plane node.
NODE_FOLDER = "/etc/kubernetes/sealgate"


def document(name: str) -> Any:
    return yaml.safe_load((EXAMPLES / name).read_text())


def make_certificates(folder: Path) -> tuple[x509.Certificate, x509.Certificate]:
    """Run the script and return CA and client certificate."""
    require_tool("openssl")
    subprocess.run([EXAMPLES / "make-certificates.sh", folder], check=True, capture_output=True)
    ca, client = (x509.load_pem_x509_certificate((folder / name).read_bytes()) for name in ("ca.crt", "client.crt"))
    return ca, client


def test_the_script_makes_a_ca_and_the_api_server_s_certificate(tmp_path: Path) -> None:
    ca, client = make_certificates(tmp_path / "sealgate")
    client.verify_directly_issued_by(ca)
    assert ca.extensions.get_extension_for_class(x509.BasicConstraints).value == x509.BasicConstraints(True, 0)  # noqa: FBT003 - cryptography's own
    usage = client.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert client.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "kube-apiserver"
    files = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "sealgate").iterdir()}
    assert files == dict.fromkeys(("ca.crt", "ca.key", "client.crt", "client.key"), 0o600)


def test_the_script_renews_the_certificate_and_keeps_the_ca(tmp_path: Path) -> None:
    first_ca, first = make_certificates(tmp_path)
    ca, client = make_certificates(tmp_path)
    assert ca == first_ca
    assert client.serial_number != first.serial_number
    client.verify_directly_issued_by(ca)


def test_the_user_is_the_webhook_s_service() -> None:
    (user,) = document("kubeconfig.yaml")["users"]
    service = find(render(), "Service", "sealgate-webhook")["metadata"]
    assert user["name"] == f"{service['name']}.{service['namespace']}.svc"
    assert service["namespace"] == NAMESPACE
    assert user["user"] == {
        "client-certificate": f"{NODE_FOLDER}/client.crt",
        "client-key": f"{NODE_FOLDER}/client.key",
    }


def test_both_kinds_of_webhooks_use_the_kubeconfig() -> None:
    admission = document("admission.yaml")
    assert (admission["apiVersion"], admission["kind"]) == ("apiserver.config.k8s.io/v1", "AdmissionConfiguration")
    assert [plugin["name"] for plugin in admission["plugins"]] == [
        "ValidatingAdmissionWebhook",
        "MutatingAdmissionWebhook",
    ]
    for plugin in admission["plugins"]:
        assert plugin["configuration"] == {
            "apiVersion": "apiserver.config.k8s.io/v1",
            "kind": "WebhookAdmissionConfiguration",
            "kubeConfigFile": f"{NODE_FOLDER}/kubeconfig.yaml",
        }


@pytest.mark.parametrize("name", ["kubeadm.yaml", "kind.yaml"])
def test_the_api_server_is_given_the_folder_and_the_flag(name: str) -> None:
    config = document(name)
    if name == "kind.yaml":
        (node,) = config["nodes"]
        (mount,) = node["extraMounts"]
        assert mount["containerPath"] == NODE_FOLDER
        (patch,) = node["kubeadmConfigPatches"]
        config = yaml.safe_load(patch)
    assert config["kind"] == "ClusterConfiguration"
    arguments = config["apiServer"]["extraArgs"]
    if isinstance(arguments, list):
        arguments = {argument["name"]: argument["value"] for argument in arguments}
    assert arguments == {"admission-control-config-file": f"{NODE_FOLDER}/admission.yaml"}
    (volume,) = config["apiServer"]["extraVolumes"]
    assert volume["hostPath"] == volume["mountPath"] == NODE_FOLDER
    assert volume["readOnly"] is True
