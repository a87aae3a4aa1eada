package deploy

import (
	"encoding/json"

	"github.com/berthdev/berth/internal/deployment/instance"
	"github.com/berthdev/berth/internal/fault"
)

func (c *call) hashes() error {
	var req json.RawMessage
	if err := c.read(maxBody, &req); err != nil {
		return err
	}
	modules, version := c.i.Hashes()
	var server *string
	if version != "" {
		server = &version
	}
	return c.json(map[string]any{"config": map[string]string{"functions": "convex/"}, "moduleHashes": modules, "nodeVersion": nil, "udfServerVersion": server})
}

// evaluateSchema tells which indexes a push would have to build first. Here
// none: they are in memory and built while the push ends.
func (c *call) evaluateSchema() error {
	var req instance.PushRequest
	if err := c.read(maxPush, &req); err != nil {
		return err
	}
	return c.json(map[string]any{"newComponentDefinitions": []string{},
		"componentSchemaEvaluations": map[string]any{"": map[string]any{"definitionPath": "", "indexes": []string{}, "schemaValidation": true, "tables": []string{}}}})
}

// evaluatePush is what clients ask where evaluate_schema is not known.
func (c *call) evaluatePush() error {
	var req instance.PushRequest
	if err := c.read(maxPush, &req); err != nil {
		return err
	}
	return c.json(map[string]any{"schemaChange": json.RawMessage(`{"allocatedComponentIds":{},"schemaIds":{"":null},"indexDiffs":{}}`)})
}

func (c *call) startPush() error {
	var req instance.PushRequest
	if err := c.read(maxPush, &req); err != nil {
		return err
	}
	started, err := c.i.StartPush(c.r.Context(), req)
	if err != nil {
		return err
	}
	return c.json(started)
}

func (c *call) waitForSchema() error {
	var req struct {
		SchemaChange struct {
			SchemaIDs map[string]*string `json:"schemaIds"`
		} `json:"schemaChange"`
	}
	if err := c.read(maxPush, &req); err != nil {
		return err
	}
	id := ""
	if p := req.SchemaChange.SchemaIDs[""]; p != nil {
		id = *p
	}
	err := c.i.CheckSchema(id)
	switch {
	case err == nil:
		return c.json(map[string]string{"type": "complete"})
	case fault.Code(err) == "RaceDetected":
		return c.json(map[string]string{"type": "raceDetected"})
	case fault.Is(err, fault.Invalid):
		return c.json(map[string]any{"type": "failed", "error": fault.From(err).Message, "componentPath": "", "tableName": nil})
	}
	return err
}

func (c *call) finishPush() error {
	var req struct {
		StartPush instance.StartedPush `json:"startPush"`
		DryRun    bool                 `json:"dryRun"`
	}
	if err := c.read(maxPush, &req); err != nil {
		return err
	}
	d, err := c.i.FinishPush(c.r.Context(), req.StartPush, req.DryRun)
	if err != nil {
		return err
	}
	type added struct {
		Added   []string `json:"added"`
		Removed []string `json:"removed"`
	}
	return c.json(map[string]any{"authDiff": added{d.AuthAdded, d.AuthRemoved}, "definitionDiffs": struct{}{},
		"componentDiffs": map[string]any{"": map[string]any{"diffType": map[string]string{"type": "modify"}, "moduleDiff": added{d.Added, d.Removed},
			"udfConfigDiff": nil, "cronDiff": map[string][]string{"added": {}, "updated": {}, "deleted": {}},
			"indexDiff":  map[string][]string{"added_indexes": {}, "removed_indexes": {}},
			"schemaDiff": nil}}})
}
