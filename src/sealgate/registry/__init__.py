"""Talking to registries and services over HTTP: one client, one HTTP policy."""
