"""The webhook's certificates: made, renewed and distributed."""
