"""Tests of `sealgate.patterns`."""
