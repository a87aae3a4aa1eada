package cli

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/provision"
	"github.com/berthdev/berth/internal/secret"
)

// preload is what Node programs load first (NODE_OPTIONS --require), so that
// the calls of the convex command line to WorkOS's fixed host names reach the
// Berth server. Nothing of the app or of the tool changes.
//
//go:embed preload.cjs
var preload []byte

const (
	nodeOptionsVar = "NODE_OPTIONS"
	hostsVar       = "BERTH_HOSTS" // JSON object: host name -> origin of the server that stands for it
)

// vendorHosts are the fixed names that the convex command line calls itself.
var vendorHosts = []string{"api.workos.com", "signin.workos.com"}

// preloadVariables make Node programs take server for the vendor's hosts, and
// the deployment's own address for its *.convex.cloud name if it has one.
func (e *Env) preloadVariables(server string, deployment *backend) ([]provision.Variable, error) {
	hosts := map[string]string{}
	for _, host := range vendorHosts {
		hosts[host] = server
	}
	if deployment != nil && deployment.Embedded && deployment.Deployment != nil {
		if u, err := url.Parse(deployment.Deployment.URL()); err == nil && strings.HasSuffix(u.Hostname(), ".convex.cloud") {
			hosts[u.Hostname()] = server
		}
	}
	encoded, err := json.Marshal(hosts)
	if err != nil {
		return nil, err
	}
	path, err := e.writePreload()
	if err != nil {
		return nil, err
	}
	return []provision.Variable{
		{Name: nodeOptionsVar, Value: secret.String(nodeOptions(e.get(nodeOptionsVar), path)), Public: true},
		{Name: hostsVar, Value: secret.String(string(encoded)), Public: true},
	}, nil
}

// writePreload puts the file into the data folder. Its name holds its hash: a
// program that still runs with an earlier version keeps its own. A file whose
// content is not what its name says is written again.
func (e *Env) writePreload() (string, error) {
	dir, err := e.DataDir()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(preload)
	path := filepath.Join(dir, "node-"+hex.EncodeToString(sum[:8])+".cjs")
	if have, err := os.ReadFile(path); err == nil && bytes.Equal(have, preload) {
		return path, nil
	}
	return path, writePrivate(path, preload)
}

// writePrivate writes a file of mode 0600 as a whole or not at all.
func writePrivate(path string, data []byte) error {
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	var tmp *os.File
	if err == nil {
		tmp, err = os.CreateTemp(filepath.Dir(path), ".berth-*") // mode 0600
	}
	if err == nil {
		defer os.Remove(tmp.Name())
		_, err = tmp.Write(data)
		err = errors.Join(err, tmp.Sync(), tmp.Close())
	}
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "cannot write %s: %v", path, err).WithFix("choose a folder that can be written with --data DIR")
	}
	return nil
}

// nodeOptions adds the file to what NODE_OPTIONS says already. Node splits the
// value at spaces; inside double quotes a backslash takes the next character
// as it is, outside it stands for itself (node.js, CLI, NODE_OPTIONS).
func nodeOptions(have, path string) string {
	option := "--require " + path
	if strings.ContainsAny(path, " \t\"\\") {
		option = `--require "` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(path) + `"`
	}
	if strings.Contains(have, option) {
		return have
	}
	return strings.TrimLeft(have+" "+option, " ")
}
