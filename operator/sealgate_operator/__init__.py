"""The operator: Kopf handlers over `sealgate`.

Kopf watches, `store` remembers, `work_queue` says what is to be looked at, and `reconciler` looks: what it finds out is
worked out by the pure modules (`authenticators`, `verification_policies`, `certificates`) and written into `status`
and into the two Secrets of the webhook's certificates. One replica works at a time (`leadership`).
"""
