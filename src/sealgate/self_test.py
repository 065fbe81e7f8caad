"""The self-test: proof that the API server reaches this release's webhook.

The operator asks for a dry run of a Lease with a label. One webhook configuration sends such Leases, and nothing else,
to `/self-test`, where they are always refused with a fixed text. Only that text, as the API server reports it, counts:
neither a webhook that was not called, nor the API server itself, nor another admission webhook can produce it.

Replicas of two releases run beside each other during an upgrade: label, path and text stay as they are.
"""

from __future__ import annotations

from typing import Final

#: Label of the Leases; any value.
LABEL: Final = "sealgate.dev/self-test"
PATH: Final = "/self-test"
#: Message with which the webhook denies them.
TEXT: Final = "sealgate self-test: the webhook answers"


def refusal_by(webhook: str) -> str:
    """Return the API server's error message after this webhook has denied the Lease.

    Args:
        webhook: the webhook's name in its webhook configuration.
    """
    return f'admission webhook "{webhook}" denied the request: {TEXT}'
