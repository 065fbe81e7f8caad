"""What a status should say. Pure."""
