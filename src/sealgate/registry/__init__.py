"""OCI registries, read with the right credentials."""
