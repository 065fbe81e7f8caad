"""Reads public keys from key management services, and signs with keys that stay there (`sealgate.kms.signing`).

    statuses = resolve_kms(entry, secrets, services, clock)    # every REFRESH_SECONDS

`resolve_kms` keeps no state; callers decide when to read again (`sealgate.kms.key_cache`).
"""
