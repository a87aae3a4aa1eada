package demo

import (
	"context"
	_ "embed"
	"fmt"
	"net/http"

	"github.com/berthdev/berth/internal/convex"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/secret"
	"github.com/berthdev/berth/internal/wire"
)

//go:embed functions.js
var functions string

// module is a module of a push, as the convex command line sends it.
type module struct {
	Path        string `json:"path"`
	Source      string `json:"source"`
	Environment string `json:"environment"`
}

// push gives the backend of p its function, beside the auth configuration that
// berth has put there: through the calls that the convex command line makes,
// which a machine without Node could not.
func (s *show) push(ctx context.Context, p *shop) error {
	control := convex.NewControl(s.base, s.token)
	control.Name = "the Berth server"
	creds, err := control.AuthorizeWithinProject(ctx, p.backend, convex.ByDeployment(p.backend, convex.Type(p.row.Kind)))
	if err != nil {
		return err
	}
	key := creds.AdminKey.Secret()
	s.shell.hide(key)
	config, err := s.berth.AuthConfig(ctx, p.backend)
	if err != nil {
		return err
	}
	d, err := convex.NewDeployment(creds.URL, key)
	if err != nil {
		return err
	}
	const isolate = "isolate"
	var started map[string]any
	err = d.Do(ctx, wire.Call{Method: http.MethodPost, Path: "/api/deploy2/start_push", Out: &started, Body: map[string]any{
		"adminKey": key.Reveal(), "dryRun": false, "functions": "convex/", "componentDefinitions": []any{}, "nodeDependencies": []any{},
		"appDefinition": map[string]any{
			"definition": module{"convex.config.js", "export default {};", isolate}, "dependencies": []any{}, "schema": nil, "udfServerVersion": "1.48.0",
			"changedModules":        []module{{"auth.config.js", config.Source, isolate}, {"demo.js", functions, isolate}},
			"unchangedModuleHashes": []any{},
		},
	}})
	if err == nil {
		err = d.Do(ctx, wire.Call{Method: http.MethodPost, Path: "/api/deploy2/finish_push", Body: map[string]any{"adminKey": key.Reveal(), "startPush": started, "dryRun": false, "message": nil}})
	}
	p.origin = creds.URL
	return err
}

func (s *show) pushFunctions(ctx context.Context) (string, error) {
	return fmt.Sprintf("%d backends", len(s.shops)), each(ctx, s.shops, s.push)
}

// seen calls the function with a token, as the page's client does, and returns
// the user that the backend saw.
func (p *shop) seen(ctx context.Context, token secret.String) (string, error) {
	client := wire.Client{Base: p.origin, Name: "the backend " + p.backend, Authorize: func(context.Context) (string, error) { return "Bearer " + token.Reveal(), nil }}
	var out struct {
		Status       string `json:"status"`
		ErrorMessage string `json:"errorMessage"`
		Value        *struct {
			Subject string `json:"subject"`
		} `json:"value"`
	}
	err := client.Do(ctx, wire.Call{Method: http.MethodPost, Path: "/api/query", Out: &out, Body: map[string]any{"path": "demo:viewer", "args": struct{}{}, "format": "json"}})
	switch {
	case err != nil:
		return "", err
	case out.Status != "success":
		return "", fault.New(fault.Conflict, "its function failed: %s", out.ErrorMessage)
	case out.Value == nil:
		return "", fault.New(fault.Conflict, "its function saw nobody")
	}
	return out.Value.Subject, nil
}
