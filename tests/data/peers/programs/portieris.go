// Says why Portieris denies an image, or nothing where it admits it: `verdict OBJECTS NAMESPACE IMAGE`, with policies
// and Secrets in a JSON list. Its own packages choose the repository and verify; README.md in the folder above says how
// it is built.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/IBM/portieris/helpers/image"
	v1 "github.com/IBM/portieris/pkg/apis/portieris.cloud.ibm.com/v1"
	"github.com/IBM/portieris/pkg/kubernetes"
	"github.com/IBM/portieris/pkg/notary"
	"github.com/IBM/portieris/pkg/registry"
	"github.com/IBM/portieris/pkg/verifier/simple"
	"github.com/IBM/portieris/pkg/verifier/trust"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	client "k8s.io/client-go/kubernetes/typed/core/v1"
)

type object struct {
	Kind     string
	Metadata struct{ Name, Namespace string }
	// Of a Secret.
	StringData map[string]string
}

// secrets is the part of Portieris' API client that its verifiers call.
type secrets struct {
	kubernetes.WrapperInterface
	client.CoreV1Interface
	client.SecretInterface
	objects   []object
	namespace string
}

func (s secrets) data(namespace, name string) (map[string]string, error) {
	for _, one := range s.objects {
		if one.Kind == "Secret" && one.Metadata.Namespace == namespace && one.Metadata.Name == name {
			return one.StringData, nil
		}
	}
	return nil, fmt.Errorf("secrets %q not found", name)
}

func (s secrets) GetSecretKey(namespace, name string) ([]byte, error) {
	found, err := s.data(namespace, name)
	return []byte(found["key"]), err
}

func (s secrets) CoreV1() client.CoreV1Interface { return s }

func (s secrets) Secrets(namespace string) client.SecretInterface {
	s.namespace = namespace
	return s
}

func (s secrets) Get(_ context.Context, name string, _ metav1.GetOptions) (*corev1.Secret, error) {
	found, err := s.data(s.namespace, name)
	made := corev1.Secret{Data: map[string][]byte{}}
	for key, value := range found {
		made.Data[key] = []byte(value)
	}
	return &made, err
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	text, err := os.ReadFile(os.Args[1])
	must(err)
	namespace, name := os.Args[2], os.Args[3]
	var raw []json.RawMessage
	must(json.Unmarshal(text, &raw))
	var objects []object
	var own v1.ImagePolicyList
	var cluster v1.ClusterImagePolicyList
	for _, each := range raw {
		var one object
		must(json.Unmarshal(each, &one))
		objects = append(objects, one)
		if one.Kind == "ImagePolicy" && one.Metadata.Namespace == namespace {
			var policy v1.ImagePolicy
			must(json.Unmarshal(each, &policy))
			own.Items = append(own.Items, policy)
		}
		if one.Kind == "ClusterImagePolicy" {
			var policy v1.ClusterImagePolicy
			must(json.Unmarshal(each, &policy))
			cluster.Items = append(cluster.Items, policy)
		}
	}
	reference, err := image.NewReference(name)
	must(err)
	policy := own.FindImagePolicy(reference.String())
	if len(own.Items) == 0 {
		policy = cluster.FindClusterImagePolicy(reference.String())
	}
	fmt.Print(denial(secrets{objects: objects}, namespace, reference, policy))
}

// denial follows DigestByPolicy of Portieris' enforcer.
func denial(known secrets, namespace string, reference *image.Reference, policy *v1.Policy) string {
	if policy == nil {
		return "no matching repositories"
	}
	simply := len(policy.Simple.Requirements) > 0
	if simply {
		if why := simpleDenial(known, namespace, reference.String(), policy); why != "" {
			return why
		}
	}
	if policy.Trust.Enabled == nil || !*policy.Trust.Enabled {
		return ""
	}
	folder, err := os.MkdirTemp("", "trust")
	must(err)
	defer os.RemoveAll(folder)
	asked, err := notary.NewClient(folder, nil)
	must(err)
	digest, deny, err := trust.NewVerifier(known, asked, registry.NewClient()).VerifyByPolicy(namespace, reference, nil, policy)
	if err != nil {
		return "trust: " + err.Error()
	}
	if deny != nil {
		return "trust: policy denied the request: " + deny.Error()
	}
	if simply && digest != nil {
		// It compares the addresses of both digests, which are never the same.
		return "Notary signs conflicting digest"
	}
	return ""
}

func simpleDenial(known secrets, namespace, name string, policy *v1.Policy) string {
	verifier := simple.NewVerifier()
	requirements, err := verifier.TransformPolicies(known, namespace, policy.Simple.Requirements)
	if err != nil {
		return err.Error()
	}
	_, deny, err := verifier.VerifyByPolicy(name, nil, "", requirements)
	if err != nil {
		return "simple: " + err.Error()
	}
	if deny != nil {
		return "simple: policy denied the request: " + deny.Error()
	}
	return ""
}
