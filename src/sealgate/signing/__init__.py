"""Signing: images resolved once, one writer at a time for each repository on this machine, runs over many images."""
