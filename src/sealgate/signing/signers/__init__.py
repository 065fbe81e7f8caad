"""How the format of a signing policy becomes a signer: one module for each format, registered in `policies`."""
