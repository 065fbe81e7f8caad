"""Watch, queue and reconcile."""
