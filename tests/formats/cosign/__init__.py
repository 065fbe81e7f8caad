"""The cosign format, through `build_check`, for images in a registry."""
