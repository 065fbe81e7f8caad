"""Signature records of Oracle Cloud's registry (OCIR), made with keys of a vault.

A record carries a message, a signature over it, and the names of key, version and algorithm. `service` lists the
records of an image, `keys` verifies one, `claims` checks what was signed, `verify` combines them.
Oracle's own tool never reads the message; here it decides.
"""
