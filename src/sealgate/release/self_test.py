"""Runs the self-test (`sealgate.self_test`): proof that the API server reaches the webhook and trusts its CA."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealgate import self_test
from sealgate.errors import UnavailableError
from sealgate.kubernetes.client import MAX_STATUS_MESSAGE
from sealgate.messages import quote

if TYPE_CHECKING:
    from sealgate.kubernetes.client import KubernetesAPI


def run_self_test(api: KubernetesAPI, namespace: str, webhook: str) -> None:
    """Return if the API server has got the webhook's answer to the self-test. Nothing is created.

    Args:
        api: the API server.
        namespace: sealgate's own.
        webhook: name of the self-test's webhook in its webhook configuration.

    Raises:
        UnavailableError: it has not; the message says what it got instead.
    """
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "sealgate-self-test", "labels": {self_test.LABEL: "true"}},
    }
    answer = api.dry_run(f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases", lease)
    if answer != self_test.refusal_by(webhook):
        got = quote(answer, MAX_STATUS_MESSAGE) or "the API server did not call it"
        raise UnavailableError(f"the webhook does not answer the API server's self-test: {got}")
