"""Tests of `sealgate.references`."""
