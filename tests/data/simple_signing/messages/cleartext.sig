-----BEGIN PGP SIGNED MESSAGE-----
Hash: SHA256

{"critical": {"type": "atomic container signature", "image": {"docker-manifest-digest": "sha256:b594645d1939ed2377e61791150993eb56439f97ec1440be1f366c27602cd42c"}, "identity": {"docker-reference": "registry.example.org/team/api:1.4"}}, "optional": {"creator": "atomic 5.23.1", "timestamp": 1717200000}}
-----BEGIN PGP SIGNATURE-----

iHUEARYIAB0WIQS7CLIxeSu+ji3czLjrc6ZqvcdgoAUCZlpkgAAKCRDrc6Zqvcdg
oDiaAQD5b437FsHJfCALnu/88Mni7tBN1oZGK292pjFoBXc3zwEApUbDHphU08oH
yx4ANieYKmLBdj5xzF9o6LtCpwrc9Q4=
=yU8l
-----END PGP SIGNATURE-----
