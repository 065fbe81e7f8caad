"""One module for each cloud; see `sealgate.pull_credentials.interface`."""
