"""The objects of version v1alpha1: one module for each kind and each format."""
