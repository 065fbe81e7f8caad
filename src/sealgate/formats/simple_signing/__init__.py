"""The simple-signing format: OpenPGP messages as OpenShift, atomic, podman and skopeo write them.

A signature is one binary signed message around a JSON text that names an image's digest and the name it was signed
under (`payloads`). It is kept beside the registry, or in OpenShift's extension of it (`stores`). Who may have signed
is a keyring (`sealgate.keys.openpgp.keyring`); whether the signed name is one for the image is a rule of the policy
(`identities`). Since a store may serve the same signature for every repository that holds the digest, that rule is
what keeps one repository's signatures out of another's.

Signing (`sign`, `storing`) writes what verification reads, and reads it back with the same check.
"""
