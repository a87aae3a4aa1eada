// Package servertest holds the answers of a server to WorkOS's OpenAPI
// document, which the npm package @workos/openapi-spec carries.
package servertest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/berthdev/berth/internal/workos"
)

// file is where npm puts the document, from the top of the module.
const file = "e2e/node_modules/@workos/openapi-spec/open-api-spec.yaml"

// Document is an OpenAPI 3.1 document. Its schemas are JSON Schema 2020-12;
// each is compiled when an answer first needs it.
type Document struct {
	paths map[string]map[string]operation

	compiling sync.Mutex
	compiler  *jsonschema.Compiler
	schemas   map[string]*jsonschema.Schema // by location in the document
}

type operation struct {
	Tags      []string            `json:"tags"`
	Responses map[string]response `json:"responses"`
}

type response struct {
	Content map[string]json.RawMessage `json:"content"`
}

// Load reads the document, from the test's folder or one above it.
func Load() (*Document, error) {
	data, err := find()
	if err != nil {
		return nil, err
	}
	var tree any
	if err := yaml.Unmarshal(data, &tree); err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	// Through JSON, so that numbers and keys have the types that the validator knows.
	if data, err = json.Marshal(tree); err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	if tree, err = jsonschema.UnmarshalJSON(bytes.NewReader(data)); err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	var head struct {
		Paths map[string]map[string]json.RawMessage `json:"paths"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	d := &Document{paths: map[string]map[string]operation{}, compiler: jsonschema.NewCompiler(), schemas: map[string]*jsonschema.Schema{}}
	for path, item := range head.Paths {
		d.paths[path] = map[string]operation{}
		for method, raw := range item {
			var op operation
			if !slices.Contains([]string{"get", "put", "post", "patch", "delete"}, method) {
				continue
			}
			if err := json.Unmarshal(raw, &op); err != nil {
				return nil, fmt.Errorf("read %s: %s %s: %w", file, method, path, err)
			}
			d.paths[path][method] = op
		}
	}
	d.compiler.DefaultDraft(jsonschema.Draft2020)
	d.compiler.AssertFormat()
	if err := d.compiler.AddResource("https://berth.invalid/openapi.json", distinct(tree)); err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	return d, nil
}

// distinct removes what a "required" list says twice, which JSON Schema does not
// allow and one schema of the document does.
func distinct(tree any) any {
	switch v := tree.(type) {
	case map[string]any:
		for k, below := range v {
			v[k] = distinct(below)
		}
		if list, ok := v["required"].([]any); ok {
			var once []any
			for _, name := range list {
				if !slices.Contains(once, name) {
					once = append(once, name)
				}
			}
			v["required"] = once
		}
	case []any:
		for i := range v {
			v[i] = distinct(v[i])
		}
	}
	return tree
}

func find() ([]byte, error) {
	dir, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	for {
		data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(file)))
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return data, err
		}
		above := filepath.Dir(dir)
		if above == dir {
			return nil, fmt.Errorf("%s is not there: run `make setup`", file)
		}
		dir = above
	}
}

// Operations returns the operations of the document, in no order.
func (d *Document) Operations() []workos.Operation {
	var list []workos.Operation
	for path, item := range d.paths {
		for method, op := range item {
			list = append(list, workos.Operation{Tag: op.Tags[0], Method: strings.ToUpper(method), Path: path})
		}
	}
	return list
}

// everywhere are statuses that any operation may answer with, whether or not
// the document lists them there: no or a bad key, nothing of that name, too
// often, a failure of the server.
var everywhere = []int{http.StatusUnauthorized, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusTooManyRequests, http.StatusInternalServerError}

// Check says how an answer differs from the document: a status that the
// operation does not list, or a body that does not fit its schema. Calls that
// the document does not have are not looked at.
func (d *Document) Check(method, path string, status int, contentType string, body []byte) error {
	o, ok := workos.FindOperation(method, path)
	if !ok {
		return nil
	}
	op, ok := d.paths[o.Path][strings.ToLower(o.Method)]
	if !ok {
		return nil // of a later version than this document's
	}
	said, listed := op.Responses[strconv.Itoa(status)]
	if !listed {
		if !slices.Contains(everywhere, status) {
			return fmt.Errorf("%s answers %d, which the document does not list: %s", o, status, body)
		}
		return checkError(o, status, body)
	}
	if _, ok := said.Content["application/json"]; !ok {
		return nil
	}
	if !strings.HasPrefix(contentType, "application/json") {
		return fmt.Errorf("%s answers %d with Content-Type %q, want application/json", o, status, contentType)
	}
	schema, err := d.schema(fmt.Sprintf("https://berth.invalid/openapi.json#/paths/%s/%s/responses/%d/content/application~1json/schema", pointer(o.Path), strings.ToLower(o.Method), status))
	if err != nil {
		return err
	}
	got, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%s answers %d with a body that is no JSON (%w): %s", o, status, err, body)
	}
	if err := schema.Validate(got); err != nil {
		return fmt.Errorf("%s answers %d with a body that does not fit the document: %w\n%s", o, status, err, body)
	}
	return nil
}

// checkError holds a general failure to one of the three shapes.
func checkError(o workos.Operation, status int, body []byte) error {
	var shape struct{ Message, Error *string }
	if err := json.Unmarshal(body, &shape); err != nil || shape.Message == nil && shape.Error == nil {
		return fmt.Errorf("%s answers %d with neither message nor error: %s", o, status, body)
	}
	return nil
}

func (d *Document) schema(at string) (*jsonschema.Schema, error) {
	d.compiling.Lock()
	defer d.compiling.Unlock()
	if s, ok := d.schemas[at]; ok {
		return s, nil
	}
	s, err := d.compiler.Compile(at)
	if err != nil {
		return nil, fmt.Errorf("compile %s: %w", at, err)
	}
	d.schemas[at] = s
	return s, nil
}

// pointer escapes a path for a JSON pointer in a URI fragment (RFC 6901).
func pointer(path string) string {
	return strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D").Replace(path)
}
