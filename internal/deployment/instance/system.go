package instance

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/berthdev/berth/internal/deployment/value"
)

// System answers the queries that Convex's own tools make of a deployment, by
// their path. ok is false for one that is not known. Callers are administrators.
func (i *Instance) System(path string, args []byte) (result []byte, ok bool, err error) {
	return i.View().System(path, args)
}

// System is [Instance.System] in a view.
func (v View) System(path string, args []byte) (result []byte, ok bool, err error) {
	fields, err := arguments(args)
	if err != nil {
		return nil, true, err
	}
	encode := func(v any) ([]byte, bool, error) { return value.Append(nil, v), true, nil }
	switch canonical(path) {
	case "_system/cli/queryEnvironmentVariables:default":
		vars := v.live.state.Variables
		list := value.Array{}
		for _, name := range slices.Sorted(maps.Keys(vars)) {
			list = append(list, value.Object{"name": name, "value": vars[name]})
		}
		return encode(list)
	case "_system/cli/queryEnvironmentVariables:get":
		name, _ := fields["name"].(string)
		text, set := v.live.state.Environment()[name]
		if !set {
			return encode(nil)
		}
		return encode(value.Object{"name": name, "value": text})
	case "_system/cli/modules:apiSpec":
		list := value.Array{}
		functions := v.live.functions
		for _, p := range slices.Sorted(maps.Keys(functions)) {
			f := functions[p]
			visibility := "internal"
			if f.public {
				visibility = "public"
			}
			list = append(list, value.Object{"functionType": string(f.kind), "identifier": strings.Replace(f.path, ":", ".js:", 1), "visibility": value.Object{"kind": visibility},
				"args": validatorValue(f.argsJSON), "returns": validatorValue(f.returnsJSON)})
		}
		return encode(list)
	case "_system/cli/tables:default":
		list := value.Array{}
		sizes := v.data.Tables()
		for _, name := range slices.Sorted(maps.Keys(sizes)) {
			if !strings.HasPrefix(name, "_") {
				list = append(list, value.Object{"name": name})
			}
		}
		return encode(value.Object{"page": list, "isDone": true, "continueCursor": ""})
	case "_system/cli/tableSize:default":
		name, _ := fields["tableName"].(string)
		return encode(float64(v.data.Tables()[name]))
	case "_system/cli/convexUrl:cloudUrl":
		return encode(v.live.state.CloudURL)
	case "_system/cli/convexUrl:siteUrl":
		return encode(v.live.state.SiteURL)
	case "_system/cli/tableData:default":
		return v.tableData(fields)
	}
	return nil, false, nil
}

// tableData is a page of a table, newest first or as asked.
func (v View) tableData(fields value.Object) ([]byte, bool, error) {
	table, _ := fields["table"].(string)
	order, _ := fields["order"].(string)
	if order != "asc" {
		order = "desc"
	}
	options, _ := fields["paginationOpts"].(value.Object)
	size, _ := options["numItems"].(float64)
	cursor, _ := options["cursor"].(string)
	source, err := json.Marshal(map[string]any{"query": map[string]any{"source": map[string]any{"type": "FullTableScan", "tableName": table, "order": order}}, "cursor": orNull(cursor), "pageSize": size})
	if err != nil {
		return nil, true, err
	}
	h := newTxHost(v.i, v.live, Caller{Admin: true}, v.data.Begin(), false)
	out, err := h.page(source)
	return out, true, err
}

// validatorValue is a validator as functions see it.
func validatorValue(exported json.RawMessage) any {
	if v, err := value.Parse(exported); err == nil {
		return v
	}
	return value.Object{"type": "any"}
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}
