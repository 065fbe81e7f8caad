"""Notary's metadata as it is stored: canonical JSON, keys and files, built and parsed."""
