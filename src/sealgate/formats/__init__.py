"""Signature formats: one module each, behind the protocol in `sealgate.formats.interface`.

A further format is a module (or folder) with a builder, and one line in `_BUILDERS`.
"""
