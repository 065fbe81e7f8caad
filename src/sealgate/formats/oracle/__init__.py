"""Signature records of Oracle Cloud's registry (OCIR), made with keys of a vault.

A record carries a message, a signature over it, and the names of key, version and algorithm. `service` lists the
records of an image, `keys` verifies one, `statements` looks at what was signed, `check` ties them together.
Oracle's own tool never looks into the message; here it is what counts.
"""
