"""Keys and credentials in Secrets."""
