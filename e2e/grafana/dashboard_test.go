// Package grafana_test compares the dashboard with Grafana's schema, as Grafana's own SDK has it. It
// is a module of its own, so that users of ours do not download the SDK.
package grafana_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

func read(t *testing.T) []byte {
	t.Helper()
	raw, err := os.ReadFile("../../config/grafana/dashboards/tidemark.json")
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// check decodes strictly: an unknown field, a field of another kind and a missing field are errors,
// also within the options of panels and the queries of Prometheus.
func check(raw []byte) error {
	plugins.RegisterDefaultPlugins()
	var d dashboard.Dashboard
	if err := d.UnmarshalJSONStrict(raw); err != nil {
		return err
	}
	return d.Validate()
}

func TestDashboard_File_FollowsTheSchemaOfGrafana(t *testing.T) {
	if err := check(read(t)); err != nil {
		t.Error(err)
	}
}

// The check finds mistakes at each level, and so is worth something.
func TestDashboard_Mistakes_AreFound(t *testing.T) {
	for name, spoil := range map[string]func(d map[string]any){
		"a field of the dashboard": func(d map[string]any) { d["refreshh"] = "15s" },
		"the kind of a field":      func(d map[string]any) { d["schemaVersion"] = "39" },
		"a field of a panel":       func(d map[string]any) { first(d, "timeseries")["tittle"] = "x" },
		"an option of a panel":     func(d map[string]any) { object(first(d, "timeseries"), "options")["legendd"] = 1 },
		"an option of a stat":      func(d map[string]any) { object(first(d, "stat"), "options")["graphMode"] = 7 },
		"a field's configuration": func(d map[string]any) {
			object(first(d, "timeseries"), "fieldConfig", "defaults", "custom")["lineWith"] = 1
		},
		"a query": func(d map[string]any) {
			first(d, "timeseries")["targets"].([]any)[0].(map[string]any)["exprr"] = "up"
		},
	} {
		var d map[string]any
		if err := json.Unmarshal(read(t), &d); err != nil {
			t.Fatal(err)
		}
		spoil(d)
		raw, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		if err := check(raw); err == nil {
			t.Errorf("%s: it passes", name)
		} else if strings.Contains(err.Error(), "required") {
			t.Errorf("%s: another mistake is found: %v", name, err)
		}
	}
}

func first(d map[string]any, typ string) map[string]any {
	for _, p := range d["panels"].([]any) {
		if panel := p.(map[string]any); panel["type"] == typ {
			return panel
		}
	}
	panic("no panel is a " + typ)
}

func object(in map[string]any, path ...string) map[string]any {
	for _, name := range path {
		in = in[name].(map[string]any)
	}
	return in
}
