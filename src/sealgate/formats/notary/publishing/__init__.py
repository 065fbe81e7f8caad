"""Writing trust data: the state of a repository, changes of it, and their publication."""
