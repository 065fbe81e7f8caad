"""sealgate: admits only images that somebody trusted has signed."""
