"""What a command is given: options, files, registries, namespaces and workloads."""
