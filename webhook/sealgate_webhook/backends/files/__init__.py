"""The backend of policy files: the webhook outside a cluster."""
