"""The self-test: proof that the API server reaches this release's webhook.

The operator asks for a dry run of a Lease with a label. One webhook configuration sends such Leases, and nothing else,
to `/self-test`, where they are always refused with a fixed text. Only that text, in the API server's words, counts: it
cannot come from a webhook that was not called, from the API server itself, or from another admission webhook.

Replicas of two releases run beside each other during an upgrade: label, path and text stay as they are.
"""

from __future__ import annotations

from typing import Final

#: Label of the Leases; its value does not matter.
LABEL: Final = "sealgate.dev/self-test"
PATH: Final = "/self-test"
#: What the webhook refuses them with.
TEXT: Final = "sealgate self-test: the webhook answers"


def refusal_by(webhook: str) -> str:
    """Return what the API server says when this webhook has refused the Lease.

    Args:
        webhook: its name in the webhook configuration.
    """
    return f'admission webhook "{webhook}" denied the request: {TEXT}'
