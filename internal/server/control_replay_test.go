package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/berthdev/berth/internal/claim"
	"github.com/berthdev/berth/internal/convex"
	"github.com/berthdev/berth/internal/server"
	"github.com/berthdev/berth/internal/store"
)

// recordedOffice is an office with what the recorded commands expect to be there,
// and how their names and secrets are said here.
func recordedOffice(t *testing.T, s *server.Server) *strings.Replacer {
	t.Helper()
	o := newOffice(t, s)
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	me, err := o.team.PutMember(ctx, "me@example.com", store.Admin, nil)
	must(err)
	_, token, err := s.Store().CreatePersonalKey(ctx, me.Person, "recorded", s.Store().Now().AddDate(1, 0, 0))
	must(err)
	open := func(kind claim.Kind, reference, person string) store.Deployment {
		d, _, err := o.team.Open(ctx, store.Opening{Project: "web", Kind: kind, Reference: reference, PersonID: person})
		must(err)
		return d
	}
	key := func(d store.Deployment, name string) string {
		_, value, err := o.team.CreateAccessKey(ctx, store.AccessKey{Kind: store.DeploymentKey, DeploymentID: d.ID, Name: name})
		must(err)
		return d.Name + "|" + value.Reveal()
	}
	dev, prod := open(claim.Dev, "", me.ID), o.deployments["prod"]
	a, b, staging := open(claim.Preview, "feat-a", ""), open(claim.Preview, "feat-b", ""), open(claim.Prod, "staging", "")
	key(dev, "tok")
	environment, err := o.team.AddProjectEnvironment(ctx, o.web, "staging", false)
	must(err)
	must(o.team.ChangeDefaultVariables(ctx, o.web.ID, []claim.Kind{claim.Dev}, func(claim.Kind, map[string]string) (map[string]string, error) {
		return map[string]string{"DEF": "d1"}, nil
	}))
	number, project := fmt.Sprint(o.team.Number), fmt.Sprint(o.web.Number)
	return strings.NewReplacer("usertoken", token.Reveal(), "pat-new", token.Reveal(), "preview:acme:web|secret", o.credentials["preview key"], "project:acme:web|secret", o.credentials["project key"],
		"happy-animal-123|secret", key(dev, "recorded"), "quick-otter-456|secret", key(prod, "recorded"), "calm-fox-701|secret", key(a, "recorded"), "wide-elk-703|secret", key(staging, "recorded"),
		"happy-animal-123", dev.Name, "quick-otter-456", prod.Name, "calm-fox-701", a.Name, "bold-ram-702", b.Name, "wide-elk-703", staging.Name, "client_s", environment.Environment.ClientID,
		"/teams/11/", "/teams/"+number+"/", `"teamId":11`, `"teamId":`+number, "/projects/22/", "/projects/"+project+"/", `"projectId":22`, `"projectId":`+project)
}

// fits says where our answer lacks something that a recorded one has.
func fits(at string, recorded, ours any) error {
	switch r := recorded.(type) {
	case nil:
		return nil
	case map[string]any:
		o, ok := ours.(map[string]any)
		if !ok {
			if ours == nil { // an object that may be null
				return nil
			}
			return fmt.Errorf("%s is %T, want an object", at, ours)
		}
		for name, v := range r {
			got, there := o[name]
			if !there {
				return fmt.Errorf("%s.%s is missing", at, name)
			}
			if err := fits(at+"."+name, v, got); err != nil {
				return err
			}
		}
		return nil
	case []any:
		o, ok := ours.([]any)
		if !ok {
			return fmt.Errorf("%s is %T, want a list", at, ours)
		}
		if len(r) > 0 && len(o) > 0 {
			return fits(at+"[0]", r[0], o[0])
		}
		return nil
	}
	if fmt.Sprintf("%T", recorded) != fmt.Sprintf("%T", ours) {
		return fmt.Errorf("%s is %T, want %T", at, ours, recorded)
	}
	return nil
}

// forced are recorded refusals that depend on what the recording's stub was told
// to answer, not on the request.
var forced = []string{"Unauthorized", "Forbidden", "DeploymentNotFound", "x", convex.CodeTeamNotAssociated, convex.CodeTeamNotProvisioned, convex.CodeInThisTeam,
	convex.CodeInWorkspace, convex.CodeInvited, "NoWorkOSTeam", convex.CodePlatformNotAuthorized, convex.CodeEmailUsed}

// Every recorded command of convex 1.48 gets from us what it needed to go on.
func TestRecordedCommandsOfConvex(t *testing.T) {
	files, err := filepath.Glob("testdata/convex-cli/*.json")
	if err != nil || len(files) < 100 {
		t.Fatalf("transcripts = %d, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var transcript struct {
				Exchanges []struct {
					Request struct {
						Method, Path string
						Headers      map[string]string
						JSON         json.RawMessage
					}
					Response struct {
						Status int
						JSON   any
					}
				}
			}
			if err := json.Unmarshal(data, &transcript); err != nil {
				t.Fatal(err)
			}
			s := start(t)
			here := recordedOffice(t, s)
			if filepath.Base(file) == "workos-status.json" { // recorded with an environment there
				if status, text := call(t, s, "POST", "/api/workos/get_or_provision_workos_environment", here.Replace("Bearer usertoken"), m{"deploymentName": here.Replace("happy-animal-123")}); status != http.StatusOK {
					t.Fatalf("provision = %d %s", status, text)
				}
			}
			for _, x := range transcript.Exchanges {
				code := ""
				if body, ok := x.Response.JSON.(map[string]any); ok && x.Response.Status >= 400 {
					code = fmt.Sprint(body["code"])
				}
				if slices.Contains(forced, code) {
					continue
				}
				var body any
				if len(x.Request.JSON) > 0 {
					compact, err := json.Marshal(x.Request.JSON)
					if err != nil {
						t.Fatal(err)
					}
					body = json.RawMessage(here.Replace(string(compact)))
				}
				status, text := call(t, s, x.Request.Method, here.Replace(x.Request.Path), here.Replace(x.Request.Headers["authorization"]), body)
				if x.Request.Headers["authorization"] == "" && strings.HasPrefix(x.Request.Path, "/api/workos/") {
					// A preview:NAME| key shows no credential here, and the stub asked for none.
					if status != http.StatusUnauthorized {
						t.Errorf("%s without a credential = %d %s, want 401", x.Request.Path, status, text)
					}
					continue
				}
				if status != x.Response.Status {
					t.Errorf("%s %s = %d %s, recorded %d", x.Request.Method, x.Request.Path, status, text, x.Response.Status)
					continue
				}
				var ours any
				if strings.TrimSpace(text) != "" {
					if err := json.Unmarshal([]byte(text), &ours); err != nil {
						t.Errorf("%s %s = %s: %v", x.Request.Method, x.Request.Path, text, err)
					}
				}
				if err := fits("answer", x.Response.JSON, ours); err != nil {
					t.Errorf("%s %s: %v in %s", x.Request.Method, x.Request.Path, err, text)
				}
				if code != "" && ours.(map[string]any)["code"] != code {
					t.Errorf("%s %s = %s, recorded code %s", x.Request.Method, x.Request.Path, text, code)
				}
			}
		})
	}
}
