"""Decides about admission requests: which images they add, and the response that follows from the verdicts."""
