"""Probes of the kubelet: `GET /healthz` and `GET /readyz`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sealgate_webhook.admission.sources import PolicySource

    #: Returns status and text of a probe's response. Never waits.
    Probe = Callable[[], tuple[int, str]]

_OK: Final = (200, "ok\n")


def create_probes(policies: PolicySource) -> Mapping[str, Probe]:
    """Return the probe of each path.

    Args:
        policies: the webhook is ready once there are some.
    """

    def ready() -> tuple[int, str]:
        problem = policies.problem()
        return (503, f"not ready: {problem}\n") if problem else _OK

    return {"/healthz": lambda: _OK, "/readyz": ready}
