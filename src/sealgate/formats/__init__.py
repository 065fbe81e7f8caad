"""Signature formats, one folder each, behind the protocol in `sealgate.formats.interface`.

A further format is a folder, its fields in `sealgate.api.v1alpha1`, and one line in `sealgate.formats.build`.
"""
