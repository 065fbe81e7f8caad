"""Real programs against sealgate: docker-registry and the tools that sign."""
