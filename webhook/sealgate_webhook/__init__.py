"""The admission webhook: a Flask app over `sealgate`."""
