package demo

import (
	"encoding/json"
	"errors"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/secret"
	"github.com/berthdev/berth/internal/workos"
)

// Settings are what an app needs to know to sign people in.
type Settings struct {
	ClientID    string
	APIKey      secret.String
	RedirectURI string // its path is the callback route; the host is the one the app is asked on
	API         string // base URL of the AuthKit API
}

// redirectVariables are the names under which frameworks know the redirect URI.
var redirectVariables = []string{"NEXT_PUBLIC_WORKOS_REDIRECT_URI", "WORKOS_REDIRECT_URI", "VITE_WORKOS_REDIRECT_URI"}

// ReadSettings reads the variables that `berth dev` writes to .env.local and
// `berth deploy` gives to the build command. The address of the API is spelled
// as the AuthKit SDKs spell it: WORKOS_API_HOSTNAME (api.workos.com when unset),
// WORKOS_API_PORT and WORKOS_API_HTTPS. A variable that is missing is
// [fault.Invalid].
func ReadSettings(vars map[string]string) (Settings, error) {
	s := Settings{ClientID: vars["WORKOS_CLIENT_ID"], APIKey: secret.String(vars["WORKOS_API_KEY"]), API: workos.DefaultBase}
	var missing []string
	if s.ClientID == "" {
		missing = append(missing, "WORKOS_CLIENT_ID")
	}
	if s.APIKey == "" {
		missing = append(missing, "WORKOS_API_KEY")
	}
	if missing != nil {
		return s, fault.New(fault.Invalid, "the app was not given %s", strings.Join(missing, " and ")).
			WithFix("it was given: %s", strings.Join(slices.Sorted(maps.Keys(vars)), ", "))
	}
	for _, name := range redirectVariables {
		if s.RedirectURI = vars[name]; s.RedirectURI != "" {
			break
		}
	}
	if host := vars["WORKOS_API_HOSTNAME"]; host != "" {
		scheme := "https"
		if vars["WORKOS_API_HTTPS"] == "false" {
			scheme = "http"
		}
		if port := vars["WORKOS_API_PORT"]; port != "" {
			host = net.JoinHostPort(host, port)
		}
		s.API = scheme + "://" + host
	}
	return s, nil
}

// callbackPath is the route of the callback.
func (s Settings) callbackPath() string {
	if u, err := url.Parse(s.RedirectURI); err == nil && u.Path != "" && u.Path != "/" {
		return u.Path
	}
	return "/callback"
}

// Capture writes the variables of environ ("NAME=value") that concern sign-in
// and backend to a new file that only its owner can read, as a JSON object. The
// demo runs it as the build command of its deployments.
func Capture(path string, environ []string) (err error) {
	vars := map[string]string{}
	for _, v := range environ {
		name, value, _ := strings.Cut(v, "=")
		if strings.Contains(name, "WORKOS_") || strings.Contains(name, "CONVEX_") {
			vars[name] = value
		}
	}
	data, err := json.Marshal(vars)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "cannot write the variables to %s", filepath.Base(path)).WithFix("name a file that does not exist yet")
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

// readCapture reads what Capture wrote.
func readCapture(path string) (map[string]string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fault.Wrap(err, fault.NotFound, "the build command left no variables behind, so it was not run or not to its end")
	}
	var vars map[string]string
	if err := json.Unmarshal(data, &vars); err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the variables of the build command cannot be read")
	}
	return vars, nil
}
