"""Private keys as docker and notary keep them: encrypted files in a trust directory, and single files."""
