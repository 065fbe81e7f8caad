"""Requests signed with the credentials of a cloud."""
