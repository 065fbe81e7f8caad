"""Timestamps of RFC 3161: proof by a trusted timestamp authority (TSA) that some bytes existed at a time.

The module knows no signature format. A caller passes the token, the bytes that it must be about, and the roots that it
trusts; nothing in the token adds trust.
"""
