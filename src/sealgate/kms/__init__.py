"""Public keys out of key management services.

    statuses = resolve_kms(entry, secrets, services, clock)    # every REFRESH_SECONDS

Nothing here keeps anything: who asks again, and when, is up to the caller (`sealgate.kms.key_cache`).
"""

from __future__ import annotations

from sealgate.kms.resolve import REFRESH_SECONDS, remaining_keys, resolve_kms

__all__ = ["REFRESH_SECONDS", "remaining_keys", "resolve_kms"]
