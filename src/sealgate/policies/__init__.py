"""Verification policies, compiled, matched against images and decided; no I/O."""
