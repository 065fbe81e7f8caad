"""Computes what the status of an object should say; pure."""
