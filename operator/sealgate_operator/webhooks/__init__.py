"""The release's webhook configurations: their rules and CA bundles, and which namespaces they must leave out."""
