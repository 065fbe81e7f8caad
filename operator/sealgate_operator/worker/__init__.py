"""The signing worker: signs the images that SigningPolicies cover."""
