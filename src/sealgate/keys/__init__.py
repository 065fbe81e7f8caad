"""Public keys: what they are, where they come from, how they verify."""
