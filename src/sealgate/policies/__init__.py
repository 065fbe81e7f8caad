"""Policy objects: models, loading, matching."""
