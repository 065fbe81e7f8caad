// Runs Vault's transit engine without Vault: one request in JSON on each line of the input, one response on each line
// of the output. See record.py.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"os"

	"github.com/hashicorp/vault/builtin/logical/transit"
	"github.com/hashicorp/vault/sdk/logical"
)

type request struct {
	Operation string                 `json:"operation"`
	Path      string                 `json:"path"`
	Data      map[string]interface{} `json:"data"`
}

func main() {
	storage := &logical.InmemStorage{}
	config := &logical.BackendConfig{StorageView: storage, System: logical.TestSystemView()}
	engine, err := transit.Factory(context.Background(), config)
	if err != nil {
		panic(err)
	}
	lines, output := bufio.NewScanner(os.Stdin), json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var asked request
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			panic(err)
		}
		response, err := engine.HandleRequest(context.Background(), &logical.Request{
			Operation: logical.Operation(asked.Operation), Path: asked.Path, Data: asked.Data, Storage: storage,
		})
		said := map[string]interface{}{"error": nil, "data": nil}
		if err != nil {
			said["error"] = err.Error()
		}
		if response != nil {
			said["data"] = response.Data
		}
		if err := output.Encode(said); err != nil {
			panic(err)
		}
	}
}
