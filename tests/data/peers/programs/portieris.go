// Says why Portieris denies an image, or nothing where it admits it: `verdict OBJECTS NAMESPACE IMAGE`, with policies
// and Secrets in a JSON list. Its own packages choose the repository and verify; README.md in the folder above says how
// it is built.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/IBM/portieris/helpers/image"
	v1 "github.com/IBM/portieris/pkg/apis/portieris.cloud.ibm.com/v1"
	"github.com/IBM/portieris/pkg/kubernetes"
	"github.com/IBM/portieris/pkg/verifier/simple"
)

type object struct {
	Kind     string
	Metadata struct{ Name, Namespace string }
	// Of a Secret.
	StringData map[string]string
}

// secrets is the part of Portieris' API client that its verifier of simple signing calls.
type secrets struct {
	kubernetes.WrapperInterface
	objects []object
}

func (s secrets) GetSecretKey(namespace, name string) ([]byte, error) {
	for _, one := range s.objects {
		if one.Kind == "Secret" && one.Metadata.Namespace == namespace && one.Metadata.Name == name {
			return []byte(one.StringData["key"]), nil
		}
	}
	return nil, fmt.Errorf("secrets %q not found", name)
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
	fmt.Print(denial(secrets{objects: objects}, namespace, reference.String(), policy))
}

// denial follows DigestByPolicy of Portieris' enforcer, without Notary.
func denial(known secrets, namespace, name string, policy *v1.Policy) string {
	if policy == nil {
		return "no matching repositories"
	}
	if policy.Trust.Enabled != nil && *policy.Trust.Enabled {
		panic("this does not ask Notary")
	}
	if len(policy.Simple.Requirements) == 0 {
		return ""
	}
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
