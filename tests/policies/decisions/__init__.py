"""Tests of `sealgate.policies.decisions`."""
