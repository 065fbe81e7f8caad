"""Sigstore's evidence: who signed, proven by a short-lived certificate, and when, proven by a log or a timestamp.

The trusted root (JSON of sigstore) says which certificate authorities, logs and timestamp authorities count, each for a
period. Everything is verified offline, at the time when the signature was made, and nothing that comes with a signature
adds trust. The modules know no registry and no format: a format passes the bytes that were signed, the signature, and
the material beside it.

==================  ============================================================================================
trusted_root        the trusted root, read strictly
material            certificates, log entries and timestamps as bundles and classic layers carry them
log_entries         entries of Rekor v1 and v2: promise (SET), inclusion proof, checkpoint
log_bodies          what a log entry is about, compared with what was signed
scts                the proof that a certificate was published in a certificate transparency log
certificates        what Fulcio certifies: subject, issuer, facts about the build
identities          which identities an authenticator accepts
verify              all of it, in order
==================  ============================================================================================
"""
