"""Verifying images: caches, single flight, budgets, deadlines."""
