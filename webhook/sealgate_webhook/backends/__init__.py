"""Where policies, namespaces, credentials and trusted state come from."""
