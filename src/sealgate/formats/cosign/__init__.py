"""The cosign format: signatures that cosign stores beside the image, in three layouts.

==========================  ==========================================================================================
classic                     tag `sha256-<hex>.sig`; each layer one signature over a payload (the layer's blob)
referrer                    the same layers in a manifest whose `subject` is the image (OCI 1.1)
bundle                      a manifest whose `subject` is the image, one layer: a sigstore bundle v0.3 with a DSSE
                            envelope around an in-toto statement (what cosign 3 writes)
==========================  ==========================================================================================

The tag is asked first; the referrers only while some key of the authenticator has not verified yet. Only signatures
by the authenticator's keys count: certificates, log entries and key hints found beside a signature add no trust.
Attestations are not signatures: they state facts about an image, not that it may run.
"""
