"""The canary: a process of its own that proves every minute that the webhook denies (`sealgate.canary`)."""
