"""The `notary` format: Notary v1, which is Docker Content Trust, in DTR and UCP and beside other registries.

What is signed here is a *tag* of a repository: a chain of metadata files (root, timestamp, snapshot, targets and
delegations below it), each signed by keys that the one above names, says which digest a tag has. The root is pinned
by the policy; nothing is trusted because it was seen first. Versions only go forward (`sealgate.trusted_state.stores`).

`metadata.py` parses files, `keys.py` and `signatures.py` check who signed them, `roots.py` and `pins.py` whether the
root is the one that is pinned, `trust.py` reads a repository from its root down, `tags.py` asks the roles that decide
about a tag, and `checks.py` puts it together.
"""
