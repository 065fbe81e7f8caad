"""Endpoint for push events of registries: each push that a signing policy covers becomes a `SigningRequest`.

Events are hints. The endpoint verifies nothing and signs nothing; it has no credentials of registries or key services.
"""
