"""What becomes of a request: which images it brings, and what the verdicts on them mean."""
