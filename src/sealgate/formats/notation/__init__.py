"""The Notation format: signatures of the Notary Project, in JWS or COSE envelopes that refer to the image.

A signature is a manifest whose `subject` is the image (OCI 1.1), with one layer: the envelope. The envelope brings its
certificate chain. A signature counts if a certificate of that chain is in the policy's trust store for the envelope's
signing scheme, the signer's certificate has a trusted identity, every certificate was valid when it signed, and none is
revoked. Nothing that an envelope brings adds trust: not its chain, its timestamp, or the addresses in certificates.

Sources: notaryproject/specifications, "Signature Specification", the JWS and COSE envelopes, "Signing Scheme", and
"Trust Store and Trust Policy Specification".
"""
