"""The objects of kritis, as sealgate's objects."""
