"""The endpoint for push events."""
