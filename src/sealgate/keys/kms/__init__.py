"""Public keys out of key management services, and the signed requests that ask for them."""
