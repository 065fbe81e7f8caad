"""Conversion of the verifyImages rules of Kyverno."""
