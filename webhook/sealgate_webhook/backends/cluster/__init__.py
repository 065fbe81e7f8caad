"""The webhook in a cluster: policies, namespaces and pull secrets from the API server."""
