// Command reference signs and verifies with the Notary Project's own libraries, for generate.py.
//
// It reads one JSON document from standard input, a list of jobs, and writes the list of their results.
package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"time"

	"github.com/notaryproject/notation-core-go/signature"
	_ "github.com/notaryproject/notation-core-go/signature/cose"
	_ "github.com/notaryproject/notation-core-go/signature/jws"
	"github.com/notaryproject/notation-go"
	"github.com/notaryproject/notation-go/verifier"
	"github.com/notaryproject/notation-go/verifier/trustpolicy"
	"github.com/notaryproject/notation-go/verifier/truststore"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

type job struct {
	MediaType string // of the envelope
	Scheme    string
	Payload   []byte
	Key       string // PKCS#8, PEM
	Chain     string // PEM
	Expiry    int64  // seconds since 1970; 0 for none
	Envelope  []byte // to verify; empty to sign
	Digest    string
	Size      int64
	Identity  string
}

type result struct {
	Envelope []byte `json:",omitempty"`
	Error    string `json:",omitempty"`
}

type store []*x509.Certificate

func (s store) GetCertificates(context.Context, truststore.Type, string) ([]*x509.Certificate, error) {
	return s, nil
}

func chain(text string) (certificates []*x509.Certificate, err error) {
	for rest := []byte(text); len(rest) > 0; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		certificates = append(certificates, certificate)
	}
	return certificates, nil
}

func sign(j job) ([]byte, error) {
	certificates, err := chain(j.Chain)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode([]byte(j.Key))
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	signer, err := signature.NewLocalSigner(certificates, key)
	if err != nil {
		return nil, err
	}
	envelope, err := signature.NewEnvelope(j.MediaType)
	if err != nil {
		return nil, err
	}
	request := &signature.SignRequest{
		Payload:       signature.Payload{ContentType: "application/vnd.cncf.notary.payload.v1+json", Content: j.Payload},
		Signer:        signer,
		SigningTime:   time.Now().Truncate(time.Second),
		SigningScheme: signature.SigningScheme(j.Scheme),
		SigningAgent:  "notation-core-go",
	}
	if j.Expiry != 0 {
		request.Expiry = time.Unix(j.Expiry, 0)
	}
	return envelope.Sign(request)
}

func verify(j job) error {
	certificates, err := chain(j.Chain)
	if err != nil {
		return err
	}
	kind := "ca"
	if j.Scheme == "notary.x509.signingAuthority" {
		kind = "signingAuthority"
	}
	policy := &trustpolicy.Document{
		Version: "1.0",
		TrustPolicies: []trustpolicy.TrustPolicy{{
			Name:                  "reference",
			RegistryScopes:        []string{"*"},
			SignatureVerification: trustpolicy.SignatureVerification{VerificationLevel: "strict"},
			TrustStores:           []string{kind + ":reference"},
			TrustedIdentities:     []string{j.Identity},
		}},
	}
	made, err := verifier.New(policy, store(certificates[len(certificates)-1:]), nil)
	if err != nil {
		return err
	}
	descriptor := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.Digest(j.Digest), Size: j.Size}
	_, err = made.Verify(context.Background(), descriptor, j.Envelope, notation.VerifierVerifyOptions{
		ArtifactReference: "registry.example.org/app@" + j.Digest, SignatureMediaType: j.MediaType,
	})
	return err
}

func main() {
	var jobs []job
	if err := json.NewDecoder(os.Stdin).Decode(&jobs); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	results := make([]result, len(jobs))
	for i, j := range jobs {
		var err error
		if len(j.Envelope) == 0 {
			results[i].Envelope, err = sign(j)
		} else {
			err = verify(j)
		}
		if err != nil {
			results[i].Error = err.Error()
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(results); err != nil {
		os.Exit(1)
	}
}
