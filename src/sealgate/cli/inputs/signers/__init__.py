"""What each format needs to sign: its options beside the key, and the signer that they make. One file for each."""
