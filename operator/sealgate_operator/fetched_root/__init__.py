"""The trusted root of sigstore that the operator fetches over TUF."""
