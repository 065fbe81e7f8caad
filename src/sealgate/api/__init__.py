"""The objects of the API group sealgate.dev, and the CRDs made from them."""
