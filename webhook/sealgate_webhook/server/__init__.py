"""Connections, TLS, endpoints and the Flask application."""
