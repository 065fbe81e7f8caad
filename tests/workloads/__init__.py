"""Tests of `sealgate.workloads.images`."""
