"""The operator: Kopf handlers over `sealgate`."""
