"""Input of commands: options, files, registries, namespaces and workloads."""
