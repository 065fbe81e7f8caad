"""sealgate: blocks container images that are not signed by a trusted key."""
