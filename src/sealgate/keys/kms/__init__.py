"""Public keys out of key management services.

    statuses = observe_kms(entry, statuses, secrets, services, clock)    # every REFRESH_SECONDS

Nothing here keeps anything: who asks again, and when, is up to the caller.
"""

from __future__ import annotations

from sealgate.keys.kms.resolution import REFRESH_SECONDS, observe_kms, remaining_keys, resolve_kms

__all__ = ["REFRESH_SECONDS", "observe_kms", "remaining_keys", "resolve_kms"]
