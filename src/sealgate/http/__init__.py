"""One HTTP policy for every request: addresses, TLS, redirects, timeouts and limits."""
