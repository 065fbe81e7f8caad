"""Conversion of the Executors of Ratify."""
