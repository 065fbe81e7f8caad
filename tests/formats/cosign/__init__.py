"""The cosign format, asked through `build_check` about images in a registry."""
