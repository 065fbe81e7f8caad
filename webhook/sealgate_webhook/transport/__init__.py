"""Connections, TLS, client certificates and the gunicorn process: what both servers of this package share."""
