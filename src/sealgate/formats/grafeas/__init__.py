"""Attestations in Grafeas, as kritis and Alibaba Cloud's kritis-validation-hook have them.

An attestation is an *occurrence* of a *note*: the note stands for the authority, the occurrence names the image and
carries signatures. `occurrences` lists them, `keys` verifies one, `payloads` looks at what was signed, `check` ties
them together.
"""
