"""What each kind of source sends: bodies of events, read into pushes. Pure."""
