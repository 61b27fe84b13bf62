package tidemark_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/tidemark/tidemark/"

// imports are the packages of this module by directory, with the imports of their files outside tests. The test
// reads them itself, without the go command, so that the cache of test results sees every change.
type imports map[string]map[string]bool

func readImports(t *testing.T) imports {
	t.Helper()
	all := make(imports)
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return skipDir(d.Name())
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		return all.add(name)
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func skipDir(name string) error {
	if name == "testdata" || name != "." && strings.HasPrefix(name, ".") {
		return filepath.SkipDir
	}
	return nil
}

func (all imports) add(file string) error {
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
	if err != nil {
		return err
	}
	pkg := path.Dir(filepath.ToSlash(file))
	if all[pkg] == nil {
		all[pkg] = make(map[string]bool)
	}
	for _, spec := range parsed.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return err
		}
		all[pkg][imported] = true
	}
	return nil
}

// reach returns all imports of a package, also those through other packages of this module.
func (all imports) reach(pkg string) []string {
	seen := make(map[string]bool)
	var visit func(pkg string)
	visit = func(pkg string) {
		for imported := range all[pkg] {
			if !seen[imported] {
				seen[imported] = true
				visit(strings.TrimPrefix(imported, module))
			}
		}
	}
	visit(pkg)
	return slices.Sorted(maps.Keys(seen))
}

// jetstoreLayers returns the layers below internal/jetstore, and more.
func jetstoreLayers(more ...string) []string {
	return append(more, "pkg/sse", "internal/feed", "internal/histogram", "internal/slots", "internal/subject",
		"internal/backoff", "internal/msgheader", "internal/jsapi", "internal/natsconn", "internal/streamdef")
}

// feedhttpLayers returns the layers below internal/feedhttp, and more.
func feedhttpLayers(more ...string) []string {
	return append(more, "internal/backoff", "internal/msgheader", "pkg/sse", "internal/feed", "internal/engine", "pkg/auth", "internal/histogram", "internal/slots", "internal/netaddr", "internal/problem", "internal/subject")
}

// layers is the direction of imports, from docs/design/overview.md. Packages that it does not list are checked only by
// TestImportLayers_Libraries_StayWithTheirPackages.
var layers = map[string]struct {
	ours   []string // packages of this module that it may reach
	others []string // modules or packages of others; "any" allows all
	never  []string
}{
	"internal/testkit/leaks": {others: []string{"go.uber.org/goleak"}},
	"internal/testkit":       {}, // for tests: it uses none of our packages
	"internal/slots":         {},
	"internal/lifecycle":     {},
	"internal/revocation":    {ours: jetstoreLayers("internal/jetstore", "pkg/auth", "internal/netaddr"), others: []string{"any"}},
	"internal/streamkeeper":  {ours: jetstoreLayers("internal/jetstore", "internal/lifecycle"), others: []string{"any"}, never: []string{"net/http"}},
	"internal/microservice":  {others: []string{"any"}},
	"internal/apidocs":       {others: []string{"any"}},
	"internal/health":        {ours: feedhttpLayers("internal/feedhttp", "internal/presence", "internal/lifecycle"), others: []string{"any"}},
	"internal/admin":         {ours: feedhttpLayers("internal/feedhttp", "internal/health", "internal/hostname", "internal/httpguard", "internal/lifecycle", "internal/logging", "internal/presence", "internal/seclog"), others: []string{"any"}},
	"internal/httpguard":     {ours: feedhttpLayers("internal/feedhttp", "internal/hostname"), others: []string{"any"}},
	"internal/logging":       {ours: []string{"pkg/auth", "internal/netaddr", "internal/subject"}, others: []string{"any"}},
	"internal/seclog":        {},
	"internal/hostname":      {},
	"internal/doctor": {
		ours:   jetstoreLayers("internal/jetstore", "internal/config", "internal/filelimit", "internal/hostname", "internal/lifecycle", "pkg/auth", "internal/natsd", "internal/netaddr", "internal/presence", "internal/publish", "internal/tlsconfig"),
		others: []string{"any"},
	},
	"internal/filelimit":           {others: []string{"golang.org/x/sys"}},
	"internal/netaddr":             {},
	"pkg/sse":                      {},
	"pkg/client":                   {ours: []string{"pkg/sse"}},
	"internal/histogram":           {},
	"internal/engine":              {ours: []string{"pkg/sse", "internal/netaddr"}, others: []string{"golang.org/x/sys", "golang.org/x/net"}},
	"internal/feed":                {ours: []string{"pkg/sse", "internal/histogram", "internal/slots", "internal/subject"}, others: []string{"github.com/nats-io/nats-server/v2/server/gsl"}, never: []string{"net/http"}},
	"internal/feed/feedtest":       {ours: []string{"pkg/sse", "internal/feed", "internal/histogram", "internal/slots", "internal/subject"}, others: []string{"any"}, never: []string{"net/http", "github.com/nats-io/nats.go"}},
	"pkg/auth":                     {ours: []string{"internal/netaddr", "internal/subject"}, others: []string{"any"}},
	"internal/jetstore":            {ours: []string{"internal/backoff", "internal/msgheader", "internal/streamdef", "internal/jsapi", "internal/natsconn", "pkg/sse", "internal/feed", "internal/histogram", "internal/slots", "internal/subject"}, others: []string{"any"}, never: []string{"net/http"}},
	"internal/feedhttp":            {ours: []string{"internal/backoff", "internal/msgheader", "pkg/sse", "internal/feed", "internal/engine", "pkg/auth", "internal/histogram", "internal/slots", "internal/netaddr", "internal/subject", "internal/problem"}, others: []string{"any"}},
	"internal/problem":             {ours: []string{"pkg/auth", "internal/netaddr", "internal/subject"}, others: []string{"any"}},
	"internal/presence":            {ours: []string{"internal/subject", "internal/lifecycle"}, others: []string{"any"}, never: []string{"net/http"}},
	"internal/subject":             {},
	"internal/delivery":            {ours: []string{"pkg/sse", "internal/feed", "internal/histogram", "internal/slots", "internal/subject"}, others: []string{"any"}, never: []string{"net/http"}},
	"internal/backend":             {ours: []string{"pkg/sse", "internal/feed", "internal/histogram", "internal/slots", "internal/subject", "internal/delivery", "internal/jetstore", "internal/publish", "internal/backoff", "internal/msgheader", "internal/jsapi", "internal/natsconn", "internal/streamdef"}, others: []string{"any"}, never: []string{"net/http"}},
	"internal/httpserver":          {},
	"internal/tlsconfig":           {},
	"internal/natstest":            {ours: []string{"internal/lifecycle", "internal/natsd", "internal/natsconn", "internal/testkit"}, others: []string{"any"}}, // runs servers for tests: it does not use feeds
	"internal/natsconn":            {others: []string{"github.com/nats-io"}},                                                                                   // does not use streams
	"internal/jsapi":               {ours: []string{"internal/natsconn", "pkg/sse", "internal/feed", "internal/histogram", "internal/slots", "internal/subject"}, others: []string{"any"}, never: []string{"net/http"}},
	"internal/streamdef":           {ours: []string{"pkg/sse", "internal/feed", "internal/histogram", "internal/slots", "internal/subject"}, others: []string{"github.com/nats-io"}, never: []string{"net/http"}},
	"internal/backoff":             {},
	"internal/msgheader":           {},
	"internal/publish":             {ours: []string{"internal/backoff", "internal/msgheader", "internal/streamdef", "internal/jsapi", "internal/natsconn", "pkg/sse", "internal/feed", "internal/histogram", "internal/slots", "internal/subject"}, others: []string{"any"}, never: []string{"net/http"}},
	"internal/natsd":               {ours: []string{"internal/lifecycle"}, others: []string{"any"}},
	"internal/loadtest":            {others: []string{"any"}}, // measures any server: it uses none of our packages
	"internal/loadtest/report":     {ours: []string{"internal/loadtest"}, others: []string{"any"}},
	"internal/loadtest/transports": {ours: []string{"pkg/sse"}, others: []string{"github.com/coder/websocket", "golang.org/x/sys"}},
	"internal/testcluster":         {ours: []string{"internal/testkit"}, others: []string{"any"}}, // runs processes: it uses none of their packages
	"pkg/web":                      {others: []string{"github.com/tdewolff"}},                     // files for browsers: it does not use feeds
	"internal/tracing":             {ours: []string{"pkg/sse", "internal/feed", "internal/engine", "pkg/auth", "internal/histogram", "internal/slots", "internal/netaddr", "internal/feedhttp", "internal/jetstore", "internal/publish", "internal/backoff", "internal/msgheader", "internal/jsapi", "internal/natsconn", "internal/streamdef", "internal/subject", "internal/problem", "internal/lifecycle"}, others: []string{"any"}},
	"internal/streambackup":        {others: []string{"github.com/nats-io", "github.com/klauspost/compress"}},
	"pkg/tidemark":                 {ours: []string{"pkg/sse", "internal/feed", "internal/engine", "pkg/auth", "internal/histogram", "internal/slots", "internal/netaddr", "internal/subject", "internal/feedhttp", "internal/jetstore", "internal/publish", "internal/backoff", "internal/msgheader", "internal/jsapi", "internal/natsconn", "internal/streamdef", "internal/delivery", "internal/backend", "internal/httpserver", "internal/testopen", "internal/problem", "internal/lifecycle"}, others: []string{"any"}},
	"internal/testopen":            {ours: []string{"pkg/sse", "internal/feed", "internal/histogram", "internal/slots", "internal/subject"}, others: []string{"any"}},
	"streams":                      {others: []string{"github.com/nats-io/nats.go"}},
	"internal/config":              {ours: []string{"internal/hostname", "internal/lifecycle", "internal/netaddr", "internal/presence", "internal/subject"}, others: []string{"any"}},
	"internal/natserr":             {others: []string{"github.com/nats-io/nats.go"}},
	"internal/terminal":            {ours: []string{"pkg/client", "pkg/sse"}, others: []string{"any"}},
	"internal/memlimit":            {others: []string{"github.com/KimMachineGun/automemlimit"}},
	"internal/feed/feedtest/model": {ours: []string{"pkg/sse", "internal/feed", "internal/feed/feedtest", "internal/histogram", "internal/slots", "internal/subject"}, others: []string{"github.com/nats-io/nats-server/v2/server/gsl"}, never: []string{"net/http", "github.com/nats-io/nats.go"}},
}

func TestImportLayers_Packages_ReachOnlyTheirLayers(t *testing.T) {
	all := readImports(t)
	for _, must := range []string{"internal/feed", "pkg/sse"} {
		if all[must] == nil {
			t.Errorf("%s was not found; does the test run at the module's root?", must)
		}
	}
	for pkg, rule := range layers {
		for _, imported := range all.reach(pkg) {
			own, isOurs := strings.CutPrefix(imported, module)
			switch {
			case within(imported, rule.never),
				isOurs && !slices.Contains(rule.ours, own),
				!isOurs && !standard(imported) && !slices.Contains(rule.others, "any") && !within(imported, rule.others):
				t.Errorf("%s must not reach %s", pkg, imported)
			}
		}
	}
}

// users are the packages that may import a library. The packages that these use have options and a *slog.Logger instead.
var users = map[string][]string{
	"github.com/labstack/echo":            {"internal/server", "internal/admin"},
	"github.com/rs/zerolog":               {"internal/logging"},
	"github.com/prometheus/client_golang": {"internal/metrics"},
	"gonum.org/v1/plot":                   {"internal/loadtest/report"},
	"go.opentelemetry.io":                 {"internal/tracing"},
	"github.com/spf13/viper":              {"internal/config"},
	"github.com/spf13/pflag":              {"internal/config", "cmd"},
	"github.com/spf13/cobra":              {"cmd"},
	module + "internal/config":            {"cmd", "internal/doctor"},
	module + "internal/server":            {"cmd"},
	module + "cmd":                        {},
}

func TestImportLayers_Libraries_StayWithTheirPackages(t *testing.T) {
	for pkg, direct := range readImports(t) {
		for imported := range direct {
			for library, allowed := range users {
				if within(imported, []string{library}) && !within(pkg, allowed) {
					t.Errorf("%s imports %s, which only %v may import", pkg, imported, allowed)
				}
			}
		}
	}
}

// Examples import only the packages that other modules can import.
func TestImportLayers_Examples_ImportPublicPackagesAlone(t *testing.T) {
	found := 0
	for pkg, direct := range readImports(t) {
		if !within(pkg, []string{"examples"}) {
			continue
		}
		found++
		for imported := range direct {
			if own, isOurs := strings.CutPrefix(imported, module); isOurs && !within(own, []string{"pkg"}) {
				t.Errorf("%s imports %s, which other modules cannot", pkg, imported)
			}
		}
	}
	if found < 4 {
		t.Errorf("%d examples were found", found)
	}
}

// The exported declarations of pkg/tidemark have no type of a package below internal: a program could not name it.
func TestImportLayers_FrontDoor_ExportsNoInternalTypes(t *testing.T) {
	for _, dir := range []string{"pkg/tidemark", "pkg/tidemark/tidemarktest", "pkg/auth"} {
		for _, use := range internalTypes(t, dir) {
			t.Errorf("%s", use)
		}
	}
}

// internalTypes returns the exported declarations of a package whose types are from internal packages.
func internalTypes(t *testing.T, dir string) (uses []string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(filepath.FromSlash(dir), "*.go"))
	if err != nil || len(names) == 0 {
		t.Fatalf("%s: %d files, %v", dir, len(names), err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		internal := make(map[string]bool) // names of imported packages
		for _, spec := range file.Imports {
			if p, _ := strconv.Unquote(spec.Path.Value); strings.HasPrefix(p, module+"internal/") {
				internal[path.Base(p)] = true
			}
		}
		ast.FileExports(file) // removes declarations and fields that are not exported; the bodies of functions stay
		for _, decl := range file.Decls {
			if f, isFunc := decl.(*ast.FuncDecl); isFunc {
				if f.Recv != nil && !exported(f.Recv.List[0].Type) {
					continue
				}
				f.Body = nil
			}
			if v, isGen := decl.(*ast.GenDecl); isGen && v.Tok == token.VAR {
				continue // a value, such as an error, has a type of its own
			}
			ast.Inspect(decl, func(n ast.Node) bool {
				if sel, ok := n.(*ast.SelectorExpr); ok {
					if pkg, ok := sel.X.(*ast.Ident); ok && internal[pkg.Name] {
						uses = append(uses, fset.Position(sel.Pos()).String()+" exports "+pkg.Name+"."+sel.Sel.Name)
					}
				}
				return true
			})
		}
	}
	return uses
}

// exported reports whether the type of a receiver is exported.
func exported(receiver ast.Expr) bool {
	if pointer, ok := receiver.(*ast.StarExpr); ok {
		receiver = pointer.X
	}
	name, ok := receiver.(*ast.Ident)
	return ok && name.IsExported()
}

func within(imported string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool {
		return imported == p || strings.HasPrefix(imported, p+"/")
	})
}

// standard reports whether a path is of the standard library. The first element of any other path is a domain.
func standard(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(first, ".")
}
