package provision

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"github.com/berthdev/berth/internal/authconfig"
	"github.com/berthdev/berth/internal/berth"
	"github.com/berthdev/berth/internal/claim"
	"github.com/berthdev/berth/internal/convex"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/plan"
	"github.com/berthdev/berth/internal/project"
	"github.com/berthdev/berth/internal/secret"
	"github.com/berthdev/berth/internal/workos"
)

// backendState adds the deployment's variables and auth configuration.
func (p *Prepared) backendState(ctx context.Context, d *plan.Desired, actual *plan.Actual) error {
	b, err := p.conn.backend(ctx, p.Request)
	if err != nil {
		return err
	}
	p.backend = b
	p.otherBackend()
	switch {
	case b.Deployment != nil:
		vars, err := b.Deployment.ListVariables(ctx)
		if err != nil && !fault.Is(err, fault.Denied) {
			return err
		}
		if err == nil {
			actual.Variables = map[string]secret.String{}
			for k, v := range vars {
				actual.Variables[k] = secret.String(v)
			}
		} else {
			p.Plan.Warnings = append(p.Plan.Warnings, fault.From(err).Message)
		}
	case b.open != nil:
		actual.Variables = map[string]secret.String{}
	default:
		p.Plan.Warnings = append(p.Plan.Warnings, b.Why)
		return nil
	}
	clientID, environmentID, key := p.credentials()
	pending := !p.bound()
	d.Variables = append(d.Variables, plan.DesiredVariable{Name: ClientIDVar, Value: secret.String(clientID), Pending: pending},
		plan.DesiredVariable{Name: APIKeyVar, Value: key, Secret: true, Pending: pending})
	if pending || environmentID != "" {
		d.Variables = append(d.Variables, plan.DesiredVariable{Name: EnvironmentIDVar, Value: secret.String(environmentID), Pending: pending})
	}
	if err := p.mismatch(actual); err != nil {
		return err
	}
	return p.authConfig(ctx, d, actual)
}

// otherBackend warns when a developer's .env.local names a Convex deployment,
// as the convex command line writes it there, and an embedded one is configured.
func (p *Prepared) otherBackend() {
	r := p.Request
	if r.Kind != claim.Dev || !p.backend.Embedded {
		return
	}
	path := r.App.BackendEnvPath()
	file, err := r.App.ReadEnvFile(path)
	if err != nil {
		return // whoever has to write the file tells about it
	}
	named, _ := file.Lookup(DeploymentVar)
	if name := convex.ParseDeployment(named).Name; name != "" && name != p.backend.Name {
		p.Plan.Warnings = append(p.Plan.Warnings, fmt.Sprintf("%s names the Convex deployment %s, but an embedded deployment is configured; to configure %s, put %s or %s into the environment of this command",
			r.App.Rel(path), name, name, DeployKeyVar, DeploymentVar))
	}
}

// mismatch refuses to overwrite credentials of another environment that
// somebody set on the deployment.
func (p *Prepared) mismatch(actual *plan.Actual) error {
	have := actual.Variables[ClientIDVar].Reveal()
	clientID, _, _ := p.credentials()
	if have == "" || have == clientID || p.backend.Embedded {
		return nil
	}
	return fault.New(fault.Conflict, "%s has %s=%s, but %s is to use %s", p.backend.Title, ClientIDVar, have, p.Request.Title(), orText(clientID, "an environment of its own")).
		WithFix("to keep that environment, give its %s and %s to this command; to replace it, remove the two variables from the deployment first", ClientIDVar, APIKeyVar).WithCode("client_id_mismatch")
}

func orText(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// placeholderClient stands for a client ID that is not known yet.
const placeholderClient = "client_00000000000000000000000000"

// authConfig adds the auth configuration of an embedded deployment, and the
// issuer that the app's own auth.config expects.
func (p *Prepared) authConfig(ctx context.Context, d *plan.Desired, actual *plan.Actual) error {
	source, err := p.Request.App.ReadAuthConfig()
	if !p.backend.Embedded {
		if p.conn.Embedded && strings.HasPrefix(p.conn.APIBase, "http://") {
			p.Plan.Warnings = append(p.Plan.Warnings, p.backend.Title+" cannot fetch the keys of "+p.conn.APIBase+", so it will refuse this server's tokens")
		}
		if err != nil || !slices.Contains(source.Reads, project.AlgorithmVar) {
			return nil // what is wrong with the file, its own push tells
		}
		e, err := p.issuing(ctx)
		if err == nil {
			d.Variables = append(d.Variables, algorithmVariable(e))
		}
		return err
	}
	if fault.Code(err) == "auth-config-missing" {
		p.Plan.Warnings = append(p.Plan.Warnings, "the app has no convex/auth.config.ts, so the backend will refuse every token; `berth init` writes one")
		return nil
	}
	if err != nil {
		return err
	}
	d.AuthConfig, d.AuthConfigName = &source.Source, p.Request.App.Rel(source.Path)
	if p.backend.Deployment != nil {
		have, err := p.conn.Ledger.AuthConfig(ctx, p.backend.Name)
		if err != nil {
			return err
		}
		actual.AuthConfig = have.Source
	}
	e, err := p.issuing(ctx)
	if err != nil {
		return err
	}
	reads := slices.Contains(source.Reads, project.AlgorithmVar)
	if reads {
		d.Variables = append(d.Variables, algorithmVariable(e))
	}
	if !p.conn.Embedded {
		return nil // tokens come from another issuer, which is not ours to set
	}
	clientID, _, _ := p.credentials()
	if clientID == "" {
		clientID = placeholderClient
	}
	if !e.IssuerIsOwn {
		actual.Issuer = e.Issuer
	}
	env := map[string]string{"CONVEX_CLOUD_URL": p.conn.serverURL, "CONVEX_SITE_URL": p.conn.serverURL}
	for k, v := range actual.Variables {
		env[k] = v.Reveal()
	}
	env[ClientIDVar], env[APIKeyVar], env[EnvironmentIDVar] = clientID, "sk_test_placeholder", "environment_placeholder"
	if reads {
		env[project.AlgorithmVar] = e.Algorithm
	}
	result, err := authconfig.Eval(ctx, source.Source, env)
	if err != nil {
		f := fault.From(err)
		return fault.New(fault.Invalid, "%s: %s", p.Request.App.Rel(source.Path), f.Message).WithFix("%s", orText(f.Fix, "correct the file, or set the variable that it reads on the deployment")).WithCode(f.Code)
	}
	if issuer, algorithm, ok := wantedIssuer(result.Providers, p.conn.APIBase, clientID); ok {
		if algorithm != e.Algorithm {
			p.Plan.Warnings = append(p.Plan.Warnings, fmt.Sprintf("%s accepts tokens signed with %s, and the environment signs with %s, so the backend will refuse them; take the algorithm from process.env.%s, or run berth keys rotate --algorithm %s",
				p.Request.App.Rel(source.Path), algorithm, e.Algorithm, project.AlgorithmVar, algorithm))
		}
		value := strings.ReplaceAll(issuer, placeholderClient, plan.ClientIDMark)
		d.Issuer = &plan.Issuance{Value: value, Pending: value != issuer}
	} else {
		p.Plan.Warnings = append(p.Plan.Warnings, "no provider of "+p.Request.App.Rel(source.Path)+" fits tokens of this environment, so the backend will refuse them; see docs/auth-config.md")
	}
	return nil
}

// issuing returns what signs the tokens of the environment. WorkOS, and an
// environment that is not made yet, sign with RS256 under their own name.
func (p *Prepared) issuing(ctx context.Context) (berth.Environment, error) {
	clientID, _, _ := p.credentials()
	if !p.conn.Embedded || clientID == "" {
		return berth.Environment{IssuerIsOwn: true, Algorithm: "RS256"}, nil
	}
	e, err := p.conn.Ledger.Environment(ctx, clientID)
	if err != nil {
		return e, err
	}
	e.Algorithm = orText(e.Algorithm, "RS256") // a server from before there was a choice
	return e, nil
}

// algorithmVariable tells auth.config which algorithm to accept.
func algorithmVariable(e berth.Environment) plan.DesiredVariable {
	return plan.DesiredVariable{Name: project.AlgorithmVar, Value: secret.String(e.Algorithm)}
}

// wantedIssuer returns the iss that the first fitting provider expects, the
// server's own form ("") or the vendor's, which unmodified templates name, and
// the algorithm that it accepts.
func wantedIssuer(providers []authconfig.Provider, base, clientID string) (issuer, algorithm string, ok bool) {
	own, vendor := base+"/user_management/"+clientID, workos.DefaultBase+"/user_management/"+clientID
	for _, p := range providers {
		if p.Kind != authconfig.CustomJWT || p.ApplicationID != nil {
			continue
		}
		switch strings.TrimRight(p.Issuer, "/") {
		case own:
			return "", p.Algorithm, true
		case vendor:
			return vendor, p.Algorithm, true
		}
	}
	return "", "", false
}

// cookiePassword is a stable secret of one deployment for sealing session
// cookies: redeploying must not sign everybody out.
func cookiePassword(key secret.String, deployment string) string {
	mac := hmac.New(sha256.New, []byte(key.Reveal()))
	mac.Write([]byte("cookie password of " + deployment))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}
