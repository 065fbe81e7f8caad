"""The `notary` format: Notary v1, which is Docker Content Trust, in DTR and UCP and beside other registries.

What is signed here is a *tag* of a repository: a chain of metadata files (root, timestamp, snapshot, targets and
delegations below it), each signed by keys that the one above names, says which digest a tag has. The root is pinned
by the policy; nothing is trusted because it was seen first. Versions only go forward (`sealgate.trusted_state.stores`).

`wire` parses files and keys; `signatures.py` verifies who signed a file; `roots.py` and `pins.py` verify that the root
is the pinned one; `trusted_metadata.py` trusts files in order, from the root down; `reader.py` fetches them; `tags.py`
asks the roles that decide about a tag; `verify.py` is the check.
"""
