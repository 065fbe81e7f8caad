"""Signature formats: what is read, and which signatures count."""
