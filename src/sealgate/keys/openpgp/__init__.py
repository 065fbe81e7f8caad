"""OpenPGP certificates and signatures, judged as gpg judges them or more strictly."""
