"""Shared fixtures of the attacks: those at the webhook run on both ways to it."""

from __future__ import annotations

from tests.webhook.conftest import environment, way

__all__ = ["environment", "way"]
