"""Signature formats: one module each, behind the protocol in `sealgate.formats.interface`."""
