"""The policy.json of podman, skopeo and OpenShift, as sealgate's objects."""
