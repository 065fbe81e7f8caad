"""Public keys: what is accepted, what is refused, and that signatures verify or do not."""
