"""Conversion of the ClusterImagePolicies of sigstore's policy-controller."""
