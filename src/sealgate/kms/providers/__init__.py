"""One module for each key management service."""
