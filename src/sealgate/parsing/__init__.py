"""Foreign JSON and YAML, read strictly and with bounds."""
