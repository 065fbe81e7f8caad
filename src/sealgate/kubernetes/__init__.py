"""The API server: requests, lists and watches, Events, Secrets and leases."""
