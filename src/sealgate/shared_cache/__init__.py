"""Optional second level of the caches: a Valkey or Redis server that the replicas of one installation share."""
