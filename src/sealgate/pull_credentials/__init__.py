"""Pull credentials: the platform's identity of this process, exchanged for credentials of its cloud's registries."""
