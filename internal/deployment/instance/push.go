package instance

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/berthdev/berth/internal/authconfig"
	"github.com/berthdev/berth/internal/deployment"
	"github.com/berthdev/berth/internal/deployment/database"
	"github.com/berthdev/berth/internal/deployment/runtime"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/store"
)

// Names of the modules that are not functions.
const (
	authConfigModule = "auth.config.js"
	schemaModule     = "schema.js"
)

// ModuleHash says what a deployment has of a module.
type ModuleHash struct {
	Path        string `json:"path"`
	Environment string `json:"environment"`
	Hash        string `json:"hash,omitempty"`
	SHA256      string `json:"sha256,omitempty"`
}

// PushRequest is the body of start_push (convex 1.48): modules that are new or
// changed whole, others by their hash.
type PushRequest struct {
	DryRun        bool   `json:"dryRun"`
	Functions     string `json:"functions"`
	AppDefinition struct {
		Definition            json.RawMessage  `json:"definition"`
		Dependencies          []string         `json:"dependencies"`
		Schema                *runtime.Module  `json:"schema"`
		ChangedModules        []runtime.Module `json:"changedModules"`
		UnchangedModuleHashes []ModuleHash     `json:"unchangedModuleHashes"`
		UDFServerVersion      string           `json:"udfServerVersion"`
	} `json:"appDefinition"`
	ComponentDefinitions []json.RawMessage `json:"componentDefinitions"`
}

// pendingPush is what start_push worked out, until finish_push.
type pendingPush struct {
	live       *live
	schema     *database.Schema
	variables  map[string]string
	udfVersion string
}

// maxPending bounds the pushes that began and were never finished.
const maxPending = 16

// StartedPush is the answer to start_push; finish_push sends it back.
type StartedPush struct {
	// Push names the work that was done; clients keep members that they do not know.
	Push                        string                     `json:"berthPush"`
	EnvironmentVariables        map[string]string          `json:"environmentVariables"`
	ExternalDepsID              *string                    `json:"externalDepsId"`
	ComponentDefinitionPackages map[string]struct{}        `json:"componentDefinitionPackages"`
	AppAuth                     []json.RawMessage          `json:"appAuth"`
	Analysis                    map[string]json.RawMessage `json:"analysis"`
	App                         json.RawMessage            `json:"app"`
	SchemaChange                json.RawMessage            `json:"schemaChange"`
}

// Hashes returns what the deployment has, for get_config_hashes.
func (i *Instance) Hashes() (hashes []ModuleHash, udfVersion string) {
	hashes = []ModuleHash{}
	for _, m := range i.now().modules {
		hashes = append(hashes, ModuleHash{Path: m.Path, Environment: m.Environment, Hash: m.Hash})
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	return hashes, i.deployment.UDFVersion
}

func pushError(code, format string, args ...any) error {
	return fault.New(fault.Invalid, "Hit an error while pushing:\n"+format, args...).WithCode(code)
}

// StartPush works out everything that a push would do, and changes nothing.
// Errors of kind Invalid have Convex's codes and texts.
func (i *Instance) StartPush(ctx context.Context, r PushRequest) (*StartedPush, error) {
	if len(r.ComponentDefinitions) > 0 || len(r.AppDefinition.Dependencies) > 0 {
		return nil, pushError("ComponentsNotSupported", "Components are not supported by Berth.")
	}
	now := i.now()
	modules, err := merge(now.modules, r)
	if err != nil {
		return nil, err
	}
	source := ""
	for _, m := range modules {
		if m.Path == authConfigModule {
			source = m.Source
		}
	}
	d, err := i.cfg.DB.DeploymentByName(ctx, i.deployment.Name)
	if err != nil {
		return nil, err
	}
	vars, err := i.cfg.DB.Variables(ctx, d.ID)
	if err != nil {
		return nil, err
	}
	state := i.state(&d, vars)
	if err := json.Unmarshal(d.Providers, &state.Providers); err != nil {
		return nil, err
	}
	if state, err = state.Push(ctx, source); err != nil {
		return nil, err
	}
	state.AuthConfig = source
	p := &pendingPush{variables: vars, udfVersion: r.AppDefinition.UDFServerVersion}
	if s := r.AppDefinition.Schema; s != nil {
		if p.schema, err = readSchema(ctx, *s, modules, state.Environment()); err != nil {
			return nil, err
		}
	}
	l, failure, err := prepare(ctx, state, modules)
	if err != nil {
		return nil, err
	}
	if failure != nil {
		return nil, moduleError(failure)
	}
	p.live = l
	return i.started(p)
}

func moduleError(err error) error {
	if f, ok := errors.AsType[*runtime.FunctionError](err); ok {
		return pushError("ModuleEvaluationError", "%s", strings.TrimRight(f.Message+"\n"+f.Stack, "\n"))
	}
	f := fault.From(err)
	return pushError(f.Code, "%s", f.Message)
}

func readSchema(ctx context.Context, module runtime.Module, modules []store.Module, env map[string]string) (*database.Schema, error) {
	var others []runtime.Module
	for _, m := range modules {
		others = append(others, runtime.Module{Path: m.Path, Source: m.Source, SourceMap: m.SourceMap, Environment: m.Environment})
	}
	text, err := runtime.Export(ctx, module, others, env)
	if err != nil {
		return nil, moduleError(err)
	}
	if string(text) == "null" {
		return nil, pushError("InvalidSchema", "schema.ts has no default export made by defineSchema()")
	}
	s, err := database.ParseSchema(text)
	if err != nil {
		return nil, moduleError(err)
	}
	return s, nil
}

// merge returns the modules after the push: those that were sent, and of those
// that are known by their hash what was kept.
func merge(have []store.Module, r PushRequest) ([]store.Module, error) {
	kept := map[string]store.Module{}
	for _, m := range have {
		kept[m.Path] = m
	}
	var all []store.Module
	for _, m := range r.AppDefinition.ChangedModules {
		sum := sha256.New()
		sum.Write([]byte(m.Source))
		sum.Write([]byte(m.SourceMap))
		all = append(all, store.Module{Path: m.Path, Environment: m.Environment, Source: m.Source, SourceMap: m.SourceMap, Hash: hex.EncodeToString(sum.Sum(nil))})
	}
	for _, h := range r.AppDefinition.UnchangedModuleHashes {
		m, ok := kept[h.Path]
		if !ok || m.Hash != h.SHA256 || m.Environment != h.Environment {
			return nil, pushError("RaceDetected", "Another push changed %s meanwhile. Push again.", h.Path)
		}
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b store.Module) int { return strings.Compare(a.Path, b.Path) })
	for n := 1; n < len(all); n++ {
		if all[n].Path == all[n-1].Path {
			return nil, pushError("DuplicateModule", "The module %s was pushed twice.", all[n].Path)
		}
	}
	return all, nil
}

// started keeps a push for its end and says what it would do.
func (i *Instance) started(p *pendingPush) (*StartedPush, error) {
	id := newRequestID()
	i.mu.Lock()
	for old := range i.pending {
		if len(i.pending) < maxPending {
			break
		}
		i.drop(old)
	}
	i.pending[id] = p
	i.mu.Unlock()
	s := &StartedPush{Push: id, EnvironmentVariables: p.variables, ComponentDefinitionPackages: map[string]struct{}{"": {}}, AppAuth: []json.RawMessage{},
		App:          json.RawMessage(`{"definitionPath":"","componentPath":"","args":{},"childComponents":{},"httpRoutes":{"httpModuleRoutes":null,"mounts":[]},"exports":{}}`),
		SchemaChange: json.RawMessage(`{"allocatedComponentIds":{},"schemaIds":{"":null},"indexDiffs":{}}`)}
	if p.schema != nil {
		// The check of wait_for_schema knows the push by this.
		id, err := json.Marshal(id)
		if err != nil {
			return nil, err
		}
		s.SchemaChange = json.RawMessage(`{"allocatedComponentIds":{},"schemaIds":{"":` + string(id) + `},"indexDiffs":{}}`)
	}
	for _, provider := range p.live.state.Providers {
		data, err := json.Marshal(wireProvider(provider))
		if err != nil {
			return nil, err
		}
		s.AppAuth = append(s.AppAuth, data)
	}
	analysis, err := json.Marshal(p.analysis())
	s.Analysis = map[string]json.RawMessage{"": analysis}
	return s, err
}

// drop lets go of a push. The lock is held.
func (i *Instance) drop(id string) {
	if p := i.pending[id]; p != nil && p.live.program != nil {
		p.live.program.Close()
	}
	delete(i.pending, id)
}

func wireProvider(p authconfig.Provider) map[string]any {
	var app *string
	if p.ApplicationID != nil {
		app = p.ApplicationID
	}
	if p.Kind == authconfig.CustomJWT {
		return map[string]any{"type": "customJwt", "applicationID": app, "issuer": p.Issuer, "jwks": p.JWKS, "algorithm": p.Algorithm}
	}
	return map[string]any{"applicationID": app, "domain": p.Issuer}
}

// analysis is the shape that the convex command line reads (contract of start_push).
func (p *pendingPush) analysis() map[string]any {
	type fn struct {
		Name       string         `json:"name"`
		Pos        *struct{}      `json:"pos"`
		UDFType    runtime.Kind   `json:"udfType"`
		Visibility map[string]any `json:"visibility"`
		Args       string         `json:"args"`    // JSON in a string, as the module exports it
		Returns    string         `json:"returns"` // so too
	}
	modules := map[string]map[string]any{}
	for _, m := range p.live.modules {
		if m.Path != authConfigModule && !strings.HasPrefix(m.Path, "_deps/") {
			modules[m.Path] = map[string]any{"functions": []fn{}, "httpRoutes": nil, "cronSpecs": nil, "sourceMapped": nil}
		}
	}
	for _, path := range slices.Sorted(maps.Keys(p.live.functions)) {
		f := p.live.functions[path]
		kind := "internal"
		if f.public {
			kind = "public"
		}
		list, _ := modules[f.module]["functions"].([]fn)
		modules[f.module]["functions"] = append(list, fn{Name: f.export, UDFType: f.kind, Visibility: map[string]any{"kind": kind},
			Args: cmp.Or(string(f.argsJSON), `{"type":"any"}`), Returns: cmp.Or(string(f.returnsJSON), "null")})
	}
	var schema any
	if p.schema != nil {
		schema = json.RawMessage(p.schema.JSON())
	}
	return map[string]any{
		"definition": json.RawMessage(`{"path":"","definitionType":{"type":"app"},"childComponents":[],"httpMounts":{},"exports":{"type":"branch","branch":[]}}`),
		"schema":     schema, "functions": modules,
		"udfConfig": map[string]any{"serverVersion": p.udfVersion, "importPhaseRngSeed": nil, "importPhaseUnixTimestamp": nil},
	}
}

// errUnknownPush says that the server does not know what start_push worked out.
var errUnknownPush = fault.New(fault.Invalid, "The push began before the server was started, or another one came between. Push again.").WithCode("RaceDetected")

func (i *Instance) pushed(id string) (*pendingPush, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if p := i.pending[id]; p != nil {
		return p, nil
	}
	return nil, errUnknownPush
}

// CheckSchema reports whether the documents fit the schema of a push. id is what
// SchemaChange of the started push names; "" has no schema.
func (i *Instance) CheckSchema(id string) error {
	if id == "" {
		return nil
	}
	p, err := i.pushed(id)
	if err != nil {
		return err
	}
	return i.data.CheckSchema(p.schema)
}

// Diff says what a push changed.
type Diff struct {
	AuthAdded, AuthRemoved []string
	Added, Removed         []string // paths of modules
}

// FinishPush makes a push what the deployment runs. With dry it only says what
// would change. Variables that changed since its start give RaceDetected.
func (i *Instance) FinishPush(ctx context.Context, started StartedPush, dry bool) (Diff, error) {
	p, err := i.pushed(started.Push)
	if err != nil {
		return Diff{}, err
	}
	before := i.now()
	diff := difference(before, p.live)
	if dry {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.drop(started.Push)
		return diff, nil
	}
	if err := i.data.CheckSchema(p.schema); err != nil {
		return Diff{}, err
	}
	// Variables that change from here on are read after this push.
	i.loading.Lock()
	defer i.loading.Unlock()
	err = i.cfg.DB.PushDeployment(ctx, i.deployment.Name, p.live.modules, func(d *store.Deployment, vars map[string]string) (map[string]string, error) {
		if !maps.Equal(vars, p.variables) {
			return nil, fault.New(fault.Invalid, "Environment variables changed while the push was under way. Push again.").WithCode("RaceDetected")
		}
		d.AuthConfig, d.UDFVersion = p.live.state.AuthConfig, p.udfVersion
		var err error
		d.Providers, err = encodeProviders(p.live.state.Providers)
		return vars, err
	})
	if err != nil {
		return Diff{}, err
	}
	if !sameSchema(i.data.Schema(), p.schema) {
		if _, err := i.data.SetSchema(ctx, p.schema); err != nil {
			return Diff{}, err
		}
	}
	i.mu.Lock()
	delete(i.pending, started.Push)
	i.deployment.UDFVersion = p.udfVersion
	i.mu.Unlock()
	i.replace(p.live)
	return diff, nil
}

func sameSchema(a, b *database.Schema) bool {
	if a == nil || b == nil {
		return a == b
	}
	return string(a.JSON()) == string(b.JSON())
}

func difference(before, after *live) Diff {
	d := Diff{Added: []string{}, Removed: []string{}} // the command line refuses null
	d.AuthAdded, d.AuthRemoved = missing(providerTexts(after.state), providerTexts(before.state)), missing(providerTexts(before.state), providerTexts(after.state))
	hashes := func(l *live) []string {
		var all []string
		for _, m := range l.modules {
			all = append(all, m.Path+" "+m.Hash)
		}
		return all
	}
	for _, m := range missing(hashes(after), hashes(before)) {
		d.Added = append(d.Added, strings.Fields(m)[0])
	}
	for _, m := range missing(hashes(before), hashes(after)) {
		d.Removed = append(d.Removed, strings.Fields(m)[0])
	}
	return d
}

func providerTexts(s deployment.State) []string {
	var all []string
	for _, p := range s.Providers {
		all = append(all, p.String())
	}
	return all
}

// missing returns what of has is not in from.
func missing(has, from []string) []string {
	out := []string{}
	for _, s := range has {
		if !slices.Contains(from, s) {
			out = append(out, s)
		}
	}
	return out
}
