"""Conversion of the ClusterImagePolicies and ImagePolicies of OpenShift."""
