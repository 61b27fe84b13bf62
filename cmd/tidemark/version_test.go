package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

func TestBuildOf_InfoAndStamp_PrefersInfo(t *testing.T) {
	checkout := []debug.BuildSetting{{Key: "vcs.revision", Value: "c0ffee"}, {Key: "vcs.time", Value: "2026-01-02T03:04:05Z"}}
	stamp := build{"v1.2.3", "beef", "2025-01-01T00:00:00Z"}
	info := func(version string, settings ...debug.BuildSetting) *debug.BuildInfo {
		return &debug.BuildInfo{Main: debug.Module{Version: version}, Settings: settings}
	}
	for name, tt := range map[string]struct {
		info  *debug.BuildInfo
		stamp build
		want  string
	}{
		"nothing":               {nil, build{}, "unknown"},
		"stamp alone":           {nil, stamp, "v1.2.3 (beef, 2025-01-01T00:00:00Z)"},
		"no git":                {info("(devel)"), build{}, "devel"},
		"no git, stamp":         {info("(devel)"), stamp, "v1.2.3 (beef, 2025-01-01T00:00:00Z)"},
		"no git, partial stamp": {info(""), build{commit: "beef"}, "beef (beef)"},
		"a tag":                 {info("v2.0.0", checkout...), stamp, "v2.0.0 (c0ffee, 2026-01-02T03:04:05Z)"},
		"a checkout":            {info("(devel)", checkout...), build{}, "c0ffee (c0ffee, 2026-01-02T03:04:05Z)"},
		"a checkout, changed":   {info("(devel)", append(checkout, debug.BuildSetting{Key: "vcs.modified", Value: "true"})...), build{}, "c0ffee+changes (c0ffee, 2026-01-02T03:04:05Z)"},
	} {
		if got := buildOf(tt.info, tt.stamp).String(); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}

// The linker does not report a variable that it does not find: an image would have no version.
func TestImage_StampedVariables_Exist(t *testing.T) {
	raw, err := os.ReadFile("../../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	docker := string(raw)
	if strings.Contains(docker, "-X ") && !strings.Contains(docker, "-o /out/tidemark ./cmd/tidemark") {
		t.Fatal("the Dockerfile builds another package, to which main. refers")
	}
	var stamped, args []string
	for _, m := range regexp.MustCompile(`-X main\.(\w+)=\$\{(\w+)\}`).FindAllStringSubmatch(docker, -1) {
		stamped, args = append(stamped, m[1]), append(args, m[2])
	}
	slices.Sort(stamped)
	if want := stringVars(t, "version.go"); !slices.Equal(stamped, want) {
		t.Errorf("the Dockerfile sets %q, and the code has %q", stamped, want)
	}
	for _, arg := range args {
		if !strings.Contains(docker, "\nARG "+arg+"=\n") {
			t.Errorf("the Dockerfile has no ARG %s= to set", arg)
		}
	}
	slices.Sort(args)
	if got := composeArgs(t); !slices.Equal(got, args) {
		t.Errorf("compose.yaml passes %q, and the Dockerfile has %q", got, args)
	}
}

// stringVars are the package's variables of a file that have no value.
func stringVars(t *testing.T, file string) (names []string) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, decl := range parsed.Decls {
		vars, ok := decl.(*ast.GenDecl)
		if !ok || vars.Tok != token.VAR {
			continue
		}
		for _, spec := range vars.Specs {
			v := spec.(*ast.ValueSpec)
			if typ, ok := v.Type.(*ast.Ident); ok && typ.Name == "string" && len(v.Values) == 0 {
				for _, name := range v.Names {
					names = append(names, name.Name)
				}
			}
		}
	}
	slices.Sort(names)
	return names
}

func composeArgs(t *testing.T) (names []string) {
	t.Helper()
	raw, err := os.ReadFile("../../compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Services map[string]struct {
			Build struct{ Args map[string]string }
		}
	}
	if err := yaml.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	for name := range file.Services["tidemark"].Build.Args {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
