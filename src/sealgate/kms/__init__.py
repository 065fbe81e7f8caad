"""Public keys out of key management services.

    statuses = resolve_kms(entry, secrets, services, clock)    # every REFRESH_SECONDS

Nothing here keeps anything: who asks again, and when, is up to the caller (`sealgate.kms.key_cache`).
"""
