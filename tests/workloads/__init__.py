"""Tests of `sealgate.workloads`."""
