"""Shared parts of long-running processes: settings files, logs and the metrics port."""
