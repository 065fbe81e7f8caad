"""Conversion of other tools' policies to sealgate's objects."""
