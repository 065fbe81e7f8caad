"""Conversion of the policies of Ratify: Executors of version 2, and the objects of version 1 with Gatekeeper."""
