"""Kubernetes objects that use images: which kinds there are, where their pod specs are, and the images in them."""
