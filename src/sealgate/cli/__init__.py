"""The `sealgate` command line."""
