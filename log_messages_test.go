package tidemark_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const errorsPage = "docs/reference/errors.md"

// Log calls that the page does not list, each with the reason. A call with a message or a level that is not
// constant has to be here.
var unlistedLogCalls = map[string]string{
	"internal/natsd/logger.go":       "passes on the messages of nats-server, which documents them",
	"internal/metrics/metrics.go":    "passes on the errors of the Prometheus client",
	"internal/feedhttp/accesslog.go": "connection closed is at level info or debug",
}

// logHelpers are functions whose first argument is the message of a warning, by the directory of their package.
var logHelpers = map[string]string{"internal/seclog": "write"}

// logCall is a call that logs at level warn or error.
type logCall struct {
	at      string // file:line
	level   string
	message string // empty if it is not constant
}

// The reference lists each warning and error of the log with its meaning and remedy, and no other message.
func TestLogMessages_WarningsAndErrors_AreInTheReference(t *testing.T) {
	calls := readLogCalls(t)
	entries := readLogEntries(t)
	logged := make(map[string]bool)
	for _, c := range calls {
		if c.message == "" {
			t.Errorf("%s: write the message as a string literal and values as fields, or add the file to unlistedLogCalls", c.at)
			continue
		}
		if problem := formOfMessage(c.message); problem != "" {
			t.Errorf("%s: %q: %s", c.at, c.message, problem)
		}
		logged[c.message] = true
		switch e, listed := entries[c.message]; {
		case !listed:
			t.Errorf("%s: %s does not list %q; add a row with its level (%s), meaning and remedy", c.at, errorsPage, c.message, c.level)
		case !strings.Contains(e.level, c.level):
			t.Errorf("%s: %q is at level %s, and at %s in %s; correct the page", c.at, c.message, c.level, e.level, e.at)
		}
	}
	for message, e := range entries {
		if !logged[message] {
			t.Errorf("%s: no code logs %q at warn or error; remove or correct the row", e.at, message)
		}
	}
	if len(calls) < 70 {
		t.Errorf("only %d calls were found; does the test run at the module's root?", len(calls))
	}
}

// messageForm matches a component and an event of it.
var messageForm = regexp.MustCompile(`^[a-z][a-z-]*: [^A-Z:%]+(?:[^:%]*)$`)

func formOfMessage(message string) (problem string) {
	switch {
	case !messageForm.MatchString(message):
		return `the form is "component: what happened; consequence", without values and a second colon`
	case strings.HasSuffix(message, "."):
		return "remove the full stop"
	}
	return ""
}

func TestLogMessages_Form_OthersAreFound(t *testing.T) {
	for message, want := range map[string]bool{
		"jetstream: request failed; retrying": true, "nats-server: start failed; retrying": true,
		"auth: jwks fetch failed; see GET /identity": true,
		"request failed": false, "jetstream: Request failed": false, "JetStream: request failed": false,
		"jetstream: request failed: retrying": false, "jetstream: request failed.": false, "jetstream: %d requests failed": false,
	} {
		if got := formOfMessage(message) == ""; got != want {
			t.Errorf("%q: accepted %t", message, got)
		}
	}
}

// readLogCalls returns the log calls of the code outside tests.
func readLogCalls(t *testing.T) (all []logCall) {
	t.Helper()
	used := make(map[string]bool)
	eachCodeFile(t, func(name string) error {
		found, err := logCallsOf(name, nil)
		if unlistedLogCalls[name] != "" {
			used[name] = slices.ContainsFunc(found, func(c logCall) bool { return c.message == "" })
			found = slices.DeleteFunc(found, func(c logCall) bool { return c.message == "" })
		}
		all = append(all, found...)
		return err
	})
	for name := range unlistedLogCalls {
		if !used[name] {
			t.Errorf("%s has no call with a message or level that is not constant; remove it from unlistedLogCalls", name)
		}
	}
	return all
}

// logCallsOf parses a file, or source if it is not nil.
func logCallsOf(name string, source any) (found []logCall, err error) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, name, source, 0)
	if err != nil {
		return nil, err
	}
	helper := logHelpers[path.Dir(name)]
	ast.Inspect(file, func(n ast.Node) bool {
		if f, ok := n.(*ast.FuncDecl); ok && f.Name.Name == helper {
			return false // its callers have the messages
		}
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		level, message := logArguments(call, helper)
		if level == "" {
			return true
		}
		at := files.Position(call.Pos())
		c := logCall{at: fmt.Sprintf("%s:%d", name, at.Line), level: level}
		if message != nil {
			if text, constant := literal(message); constant {
				c.message = text
			}
		}
		found = append(found, c)
		return true
	})
	return found, nil
}

// logArguments returns the level and the message of a call. The level is empty for other calls and for levels below
// warn. The message is nil if the level is not constant, or if the call has no message.
func logArguments(call *ast.CallExpr, helper string) (level string, message ast.Expr) {
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || len(call.Args) == 0 {
		return "", nil
	}
	if receiver, ok := method.X.(*ast.Ident); ok && slices.Contains([]string{"t", "b", "tb", "http"}, receiver.Name) {
		return "", nil // testing.T.Error, http.Error
	}
	args := call.Args
	switch name := method.Sel.Name; {
	case name == helper:
		return "warn", args[0]
	case name == "Warn", name == "Error":
		return strings.ToLower(name), args[0]
	case len(args) < 2:
		return "", nil
	case name == "WarnContext", name == "ErrorContext":
		return strings.ToLower(strings.TrimSuffix(name, "Context")), args[1]
	case name == "NewLogLogger":
		level, _ = levelOf(args[1])
		return level, nil
	case len(args) < 3 || name != "Log" && name != "LogAttrs":
		return "", nil
	}
	level, constant := levelOf(args[1])
	if !constant {
		return level, nil
	}
	return level, args[2]
}

// levelOf returns the level that an expression names, and whether it names one. It is empty below warn.
func levelOf(x ast.Expr) (level string, constant bool) {
	names := map[string]string{"LevelDebug": "", "LevelInfo": "", "LevelWarn": "warn", "LevelError": "error"}
	level = "warn or error"
	ast.Inspect(x, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if named, known := names[s.Sel.Name]; known {
				level, constant = named, true
			}
		}
		return true
	})
	return level, constant
}

func TestLogMessages_Calls_FoundInSource(t *testing.T) {
	source := `package x
func f() {
	o.Logger.Warn("a: one", "error", err.Error())
	l.Error("a: two; " +
		"split")
	l.ErrorContext(ctx, "a: three")
	l.LogAttrs(ctx, slog.LevelWarn, "a: four", slog.Int("n", 1))
	l.Log(ctx, opts.beginning(slog.LevelWarn), "a: five")
	l.Log(ctx, level, "a: six")
	l.Warn("a: " + text)
	l.LogAttrs(ctx, slog.LevelInfo, "a: not listed")
	l.Info("a: not listed")
	t.Error("a: not listed")
	http.Error(w, "a: not listed", 500)
	slog.NewLogLogger(h, slog.LevelWarn)
	slog.NewLogLogger(h, slog.LevelDebug)
}`
	found, err := logCallsOf("x.go", source)
	if err != nil {
		t.Fatal(err)
	}
	want := []logCall{
		{"x.go:3", "warn", "a: one"},
		{"x.go:4", "error", "a: two; split"},
		{"x.go:6", "error", "a: three"},
		{"x.go:7", "warn", "a: four"},
		{"x.go:8", "warn", "a: five"},
		{"x.go:9", "warn or error", ""},
		{"x.go:10", "warn", ""},
		{"x.go:15", "warn", ""},
	}
	if !slices.Equal(found, want) {
		t.Errorf("found %v\nwant  %v", found, want)
	}
}

// logEntry is a row of the page.
type logEntry struct{ at, level string }

var logRow = regexp.MustCompile("^\\| `([^`]+)` \\| (warn|error|warn, error) \\| (.*\\S) \\| (.*\\S) \\|$")

// readLogEntries returns the rows of the page by message. Each is below the heading of its component, and
// headings and rows are in alphabetical order.
func readLogEntries(t *testing.T) map[string]logEntry {
	t.Helper()
	before, rest, found := strings.Cut(read(t, errorsPage), "<!-- log messages -->\n")
	listed, _, ended := strings.Cut(rest, "<!-- end of log messages -->")
	if !found || !ended {
		t.Fatalf("%s has no list of log messages", errorsPage)
	}
	entries := make(map[string]logEntry)
	component, last := "", ""
	for i, line := range strings.Split(listed, "\n") {
		at := fmt.Sprintf("%s:%d", errorsPage, strings.Count(before, "\n")+2+i)
		if heading, ok := strings.CutPrefix(line, "### "); ok {
			if heading <= component {
				t.Errorf("%s: %s is not in alphabetical order", at, heading)
			}
			component, last = heading, ""
			continue
		}
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		row := logRow.FindStringSubmatch(line)
		if row == nil {
			t.Errorf("%s: a row has a message, a level (warn or error), a meaning and a remedy: %s", at, line)
			continue
		}
		message := row[1]
		switch {
		case !strings.HasPrefix(message, component+": "):
			t.Errorf("%s: the row is not below the heading of its component", at)
		case message <= last:
			t.Errorf("%s: the row is listed twice, or not in alphabetical order", at)
		}
		last = message
		entries[message] = logEntry{at, row[2]}
	}
	return entries
}

// The pages quote messages of the log as the code has them, in full or from their beginning.
func TestLogMessages_QuotedInPages_AreThoseOfTheCode(t *testing.T) {
	components := make(map[string]bool)
	for message := range readLogEntries(t) {
		component, _, _ := strings.Cut(message, ": ")
		components[component] = true
	}
	texts := stringLiterals(t, components)
	quoted := 0
	for _, page := range documents(t) {
		for i, line := range strings.Split(read(t, page), "\n") {
			for _, span := range regexp.MustCompile("`([a-z][a-z-]*): ([a-z][^`]*)`").FindAllStringSubmatch(line, -1) {
				if !components[span[1]] {
					continue // of a configuration
				}
				quoted++
				text := strings.Trim(span[0], "`")
				if !slices.ContainsFunc(texts, func(s string) bool { return strings.HasPrefix(s, text) }) {
					t.Errorf("%s:%d: no message of the log begins with %q; correct the quote", page, i+1, text)
				}
			}
		}
	}
	if quoted < 100 {
		t.Errorf("only %d quotes were found", quoted)
	}
}

// stringLiterals returns the string literals of the code that begin with a component of the log.
func stringLiterals(t *testing.T, components map[string]bool) (all []string) {
	t.Helper()
	eachCodeFile(t, func(name string) error {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if e, ok := n.(ast.Expr); ok {
				text, _ := literal(e)
				if component, _, _ := strings.Cut(text, ": "); components[component] {
					all = append(all, text)
				}
			}
			return true
		})
		return nil
	})
	return all
}

// eachCodeFile calls visit for the files of the programs and packages, without tests.
func eachCodeFile(t *testing.T, visit func(name string) error) {
	t.Helper()
	for _, root := range []string{"cmd", "internal", "pkg"} {
		err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
				return err
			}
			return visit(filepath.ToSlash(name))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// The reference lists the reasons of tidemark.gap and tidemark.close that the code has.
func TestErrorsPage_Reasons_AreThoseOfTheCode(t *testing.T) {
	page := read(t, errorsPage)
	for _, c := range []struct{ file, typ, mark string }{
		{"internal/feed/store.go", "Reason", "gap reasons"},
		{"internal/feedhttp/control.go", "CloseReason", "close reasons"},
	} {
		_, rest, found := strings.Cut(page, "<!-- "+c.mark+" -->\n")
		listed, _, ended := strings.Cut(rest, "<!-- end of "+c.mark+" -->")
		if !found || !ended {
			t.Fatalf("%s has no list of %s", errorsPage, c.mark)
		}
		var got []string
		for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(listed, -1) {
			got = append(got, row[1])
		}
		if want := constantsOf(t, c.file, c.typ); len(want) == 0 || !slices.Equal(got, want) {
			t.Errorf("%s lists the %s %q; %s has %q", errorsPage, c.mark, got, c.file, want)
		}
	}
}

// constantsOf returns the values of the string constants of a type, in their order.
func constantsOf(t *testing.T, name, typ string) (values []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok && len(spec.Values) == 1 {
			if of, ok := spec.Type.(*ast.Ident); ok && of.Name == typ {
				value, _ := literal(spec.Values[0])
				values = append(values, value)
			}
		}
		return true
	})
	return values
}
