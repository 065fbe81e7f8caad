// Judges certificate chains as the notary client does where a CA is pinned (trustpinning/trustpin.go, caCheck, and
// tuf/utils/x509.go, ValidateCertificate): a bundle with its leaf first, CA certificates, and a moment.
//
// Reads JSON {"now": RFC 3339, "chains": {name: {"bundle": PEM, "roots": PEM}}}, prints JSON {name: reason},
// where an empty reason means accepted.
package main

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"time"
)

type chain struct {
	Bundle string `json:"bundle"`
	Roots  string `json:"roots"`
}

type input struct {
	Now    time.Time        `json:"now"`
	Chains map[string]chain `json:"chains"`
}

func parse(text string) ([]*x509.Certificate, error) {
	var found []*x509.Certificate
	for rest := []byte(text); ; {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			return found, nil
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		found = append(found, certificate)
	}
}

func usable(certificate *x509.Certificate, now time.Time) error {
	switch certificate.SignatureAlgorithm {
	case x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1:
		return errors.New("SHA-1")
	}
	if key, ok := certificate.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() < 2048 {
		return errors.New("short RSA key")
	}
	if now.Before(certificate.NotBefore) || now.After(certificate.NotAfter) {
		return errors.New("outside of its dates")
	}
	return nil
}

func judge(given chain, now time.Time) error {
	bundle, err := parse(given.Bundle)
	if err != nil {
		return err
	}
	authorities, err := parse(given.Roots)
	if err != nil {
		return err
	}
	if len(bundle) == 0 || bundle[0].IsCA {
		return errors.New("the bundle does not begin with a leaf")
	}
	if err := usable(bundle[0], now); err != nil {
		return err
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	for _, certificate := range authorities {
		if usable(certificate, now) == nil {
			roots.AddCert(certificate)
		}
	}
	for _, certificate := range bundle[1:] {
		if !certificate.IsCA {
			return errors.New("more than one leaf")
		}
		if usable(certificate, now) == nil {
			between.AddCert(certificate)
		}
	}
	_, err = bundle[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: now})
	return err
}

func main() {
	var given input
	if err := json.NewDecoder(os.Stdin).Decode(&given); err != nil {
		panic(err)
	}
	verdicts := map[string]string{}
	for name, chain := range given.Chains {
		verdicts[name] = ""
		if err := judge(chain, given.Now); err != nil {
			verdicts[name] = err.Error()
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(verdicts); err != nil {
		panic(err)
	}
}
