"""Attestations in Grafeas, as kritis and Alibaba Cloud's kritis-validation-hook have them.

An attestation is an *occurrence* of a *note*: the note represents the attestor, the occurrence names the image and
carries signatures. `stores` lists them, `keys` verifies one, `claims` checks what was signed, `verify` combines
them together.
"""
