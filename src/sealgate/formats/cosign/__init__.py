"""The cosign format: signatures that cosign stores beside the image, in three layouts.

==========================  ==========================================================================================
classic                     tag `sha256-<hex>.sig`; each layer one signature over a payload (the layer's blob)
referrer                    the same layers in a manifest whose `subject` is the image (OCI 1.1)
bundle                      a manifest whose `subject` is the image, one layer: a sigstore bundle v0.3 with a DSSE
                            envelope around an in-toto statement (what cosign 3 writes); older versions are read
==========================  ==========================================================================================

The tag is asked first; the referrers only while some accepted signer has not verified yet. Only signatures by the
authenticator's keys and identities count. What is beside a signature adds no trust: certificates and log entries count
as far as the authenticator's trusted root proves them (`sealgate.sigstore`), key hints not at all.
Attestations are not signatures: they state facts about an image, not that it may run.
"""
