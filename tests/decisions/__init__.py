"""Tests of `sealgate.decisions`."""
