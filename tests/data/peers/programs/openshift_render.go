// Prints the files with which OpenShift's machine-config-operator has a node verify images.
//
// render.py adds the functions of machine-config-operator and the types of the policies, and builds it with skopeo's
// dependencies. It reads a JSON array of ClusterImagePolicies and ImagePolicies, and prints the text of each file by its
// path.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strings"

	"github.com/BurntSushi/toml"
	"github.com/opencontainers/go-digest"
	"go.podman.io/image/v5/docker/reference"
	"go.podman.io/image/v5/pkg/sysregistriesv2"
	"go.podman.io/image/v5/signature"
	"go.podman.io/image/v5/types"
)

// Of the metadata of objects, what the functions read.
type (
	TypeMeta   struct{ Kind string }
	ObjectMeta struct{ Name, Namespace string }
	ListMeta   struct{}
	Condition  struct{}
)

// JSON is YAML.
type encoder struct{}

func (encoder) Marshal(value any) ([]byte, error) { return json.Marshal(value) }

var yaml encoder

// About blocked and allowed registries, which the nodes here do not have.
func validateRegistriesConfScopes(_, _, _ []string, _, _, _ any) error { return nil }
func getPayloadRepo(string) (reference.Named, error)                   { return nil, nil }

func main() {
	files, err := render(os.Args[1])
	check(err)
	output := json.NewEncoder(os.Stdout)
	output.SetIndent("", " ")
	check(output.Encode(files))
}

// render returns the files of a node that has the policy.json of a new cluster.
func render(policy string) (map[string]string, error) {
	cluster, namespaced := policies()
	everywhere, namespaces, err := getValidScopePolicies(cluster, namespaced)
	if err != nil {
		return nil, err
	}
	common, err := updatePolicyJSON([]byte(policy), nil, nil, "", everywhere)
	if err != nil {
		return nil, err
	}
	own, err := updateNamespacedPolicyJSONs(common, nil, nil, namespaces)
	if err != nil {
		return nil, err
	}
	attachments, err := generateSigstoreRegistriesdConfig(everywhere, namespaces, nil)
	if err != nil {
		return nil, err
	}
	files := map[string]string{
		"/etc/containers/policy.json":                           string(common),
		"/etc/containers/registries.d/sigstore-registries.yaml": string(attachments),
	}
	for namespace, text := range own {
		files["/etc/crio/policies/"+namespace+".json"] = string(text)
	}
	return files, nil
}

func policies() (cluster []*ClusterImagePolicy, namespaced []*ImagePolicy) {
	var objects []json.RawMessage
	check(json.NewDecoder(os.Stdin).Decode(&objects))
	for _, object := range objects {
		var kind TypeMeta
		check(json.Unmarshal(object, &kind))
		switch kind.Kind {
		case "ClusterImagePolicy":
			policy := &ClusterImagePolicy{}
			check(json.Unmarshal(object, policy))
			cluster = append(cluster, policy)
		case "ImagePolicy":
			policy := &ImagePolicy{}
			check(json.Unmarshal(object, policy))
			namespaced = append(namespaced, policy)
		default:
			log.Fatalf("unknown kind %q", kind.Kind)
		}
	}
	return cluster, namespaced
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
