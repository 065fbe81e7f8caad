"""The highest versions of signed metadata seen so far, so that an older one is refused."""
