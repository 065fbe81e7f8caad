"""HTTP/1.1 server for ASGI applications whose clients cannot hold up each other.

Every connection is bounded in bytes and in time, and all together in number: when there are too many, the one that has
been idle longest is closed. Nothing waits for a client but the connection itself; there are no threads.
"""
