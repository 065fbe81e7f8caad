"""Conversion of the policy.json of podman, skopeo and OpenShift."""
