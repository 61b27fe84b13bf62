package server_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const (
	dashboardFile = "../../config/grafana/dashboards/tidemark.json"
	prometheusDir = "../../config/prometheus/"
	rulesFile     = prometheusDir + "tidemark.rules.yml"
)

// panel has the checked fields of a dashboard panel.
type panel struct {
	ID         int
	Type       string
	Title      string
	Datasource struct{ UID string }
	GridPos    struct{ X, Y, W, H int }
	Targets    []struct{ RefID, Expr string }
}

type dashboard struct {
	UID           string
	SchemaVersion int
	Panels        []panel
	Templating    struct {
		List []struct {
			Name, Type string
			Query      any
		}
	}
}

type rule struct {
	Alert, Expr string
	Labels      map[string]string
	Annotations map[string]string
}

func readDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	if err := json.Unmarshal(readFile(t, dashboardFile), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func readRules(t *testing.T) (rules []rule) {
	t.Helper()
	var file struct{ Groups []struct{ Rules []rule } }
	if err := yaml.Unmarshal(readFile(t, rulesFile), &file); err != nil {
		t.Fatal(err)
	}
	for _, g := range file.Groups {
		rules = append(rules, g.Rules...)
	}
	return rules
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestDashboard_File_IsWellFormed checks the structure that Grafana needs, without Grafana.
func TestDashboard_File_IsWellFormed(t *testing.T) {
	d := readDashboard(t)
	if d.UID != "tidemark" || d.SchemaVersion < 36 {
		t.Errorf("uid %q, schema %d", d.UID, d.SchemaVersion)
	}
	var variables []string
	for _, v := range d.Templating.List {
		variables = append(variables, v.Name)
	}
	used := regexp.MustCompile(`\$([a-z]\w*)`)
	for i, p := range d.Panels {
		for _, q := range d.Panels[:i] {
			if p.ID == q.ID {
				t.Errorf("%q and %q have the id %d", p.Title, q.Title, p.ID)
			}
			a, b := p.GridPos, q.GridPos
			if a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H {
				t.Errorf("%q lies on %q", p.Title, q.Title)
			}
		}
		if p.ID == 0 || p.Title == "" || p.GridPos.W < 1 || p.GridPos.H < 1 || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("%+v", p)
		}
		if p.Type == "row" {
			continue
		}
		if len(p.Targets) == 0 || p.Datasource.UID != "${datasource}" {
			t.Errorf("%q has no query, or another data source: %+v", p.Title, p)
		}
		for _, target := range p.Targets {
			for _, name := range used.FindAllStringSubmatch(target.Expr, -1) {
				if !slices.Contains(variables, name[1]) {
					t.Errorf("%q uses the variable %s, which the dashboard does not have", p.Title, name[1])
				}
			}
		}
	}
}

var (
	metricName = regexp.MustCompile(`\btidemark_\w+`)
	ofHistory  = regexp.MustCompile(`_(bucket|sum|count)$`)
)

// TestDashboard_Queries_NameExistingMetrics finds queries of renamed metrics, whose panels would be empty.
func TestDashboard_Queries_NameExistingMetrics(t *testing.T) {
	listed := metricName.FindAllString(string(readFile(t, "../../docs/reference/metrics.md")), -1)
	for _, file := range []string{dashboardFile, rulesFile, prometheusDir + "tidemark.rules_test.yml"} {
		names := metricName.FindAllString(string(readFile(t, file)), -1)
		if len(names) < 10 {
			t.Errorf("%s queries %d metrics", file, len(names))
		}
		for _, name := range names {
			if !slices.Contains(listed, ofHistory.ReplaceAllString(name, "")) {
				t.Errorf("%s queries %s, which docs/reference/metrics.md does not list", file, name)
			}
		}
	}
}

// TestAlerts_Each_HasARunbook checks the link of each alert to a section, if the document exists.
func TestAlerts_Each_HasARunbook(t *testing.T) {
	const document = "docs/operate/runbook.md"
	runbook, err := os.ReadFile("../../" + document)
	if err != nil {
		t.Logf("%s does not exist; the sections are not checked", document)
	}
	for _, r := range readRules(t) {
		file, section, found := strings.Cut(r.Annotations["runbook"], "#")
		if file != document || !found || r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
			t.Errorf("%s: %v", r.Alert, r.Annotations)
		}
		if s := r.Labels["severity"]; s != "critical" && s != "warning" {
			t.Errorf("%s is %q", r.Alert, s)
		}
		if runbook != nil && !slices.Contains(anchors(string(runbook)), section) {
			t.Errorf("%s: %s has no section %s", r.Alert, document, section)
		}
	}
}

// anchors returns the sections of a Markdown text by their names in links.
func anchors(text string) (names []string) {
	drop := regexp.MustCompile(`[^a-z0-9 _-]`)
	for line := range strings.Lines(text) {
		if title := strings.TrimLeft(line, "#"); title != line {
			title = drop.ReplaceAllString(strings.ToLower(strings.TrimSpace(title)), "")
			names = append(names, strings.ReplaceAll(title, " ", "-"))
		}
	}
	return names
}

// TestAlerts_Promtool_Passes checks the syntax, and the results of some alerts for example series.
func TestAlerts_Promtool_Passes(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed (apt-get install prometheus): the alerts are not checked")
	}
	for _, args := range [][]string{
		{"check", "rules", rulesFile},
		{"check", "config", prometheusDir + "prometheus.yml"},
		{"test", "rules", prometheusDir + "tidemark.rules_test.yml"},
	} {
		if out, err := exec.CommandContext(t.Context(), promtool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}
