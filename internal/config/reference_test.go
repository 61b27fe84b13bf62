package config

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/tidemark/tidemark/internal/testkit"
)

// The files that TIDEMARK_UPDATE=1 go test ./internal/config writes.
const (
	reference = "../../config/tidemark.yaml"
	document  = "../../docs/reference/configuration.md"
)

func TestReference_Generated_EqualsFile(t *testing.T) {
	want := referenceHead + newTexts[Config](t).yaml(configKeys, Default())
	got, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) == want {
		return
	}
	if os.Getenv("TIDEMARK_UPDATE") == "" {
		t.Fatalf("%s does not follow from the keys; write it with TIDEMARK_UPDATE=1 go test ./internal/config", reference)
	}
	if err := os.WriteFile(reference, []byte(want), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestDocument_Generated_EqualsFile(t *testing.T) {
	testkit.Generated(t, document, "keys", newTexts[Config](t).tables(configKeys, Default()))
}

const referenceHead = `# All keys of the configuration of Tidemark with their defaults: an empty file, and no file, have the same
# meaning.
#
#   tidemark serve --config tidemark.yaml
#
# A variable (http.addr is TIDEMARK_HTTP_ADDR) overrides the file, and a flag (--http.addr) overrides both.
# Feeds and users of the embedded server can be set in the file only; there are no flags for nats.password
# and nats.token, because process lists show arguments.
#
# Durations have units (500ms, 15s, 5m, 24h). Sizes are bytes, or have KiB, MiB or GiB. An unknown key is an
# error. "tidemark config check" reports all problems.
`

// texts are the comments of the fields of a struct, and of the structs within it.
type texts struct {
	of       reflect.Type
	comments map[string]string // by type and field
}

func newTexts[T any](t *testing.T) texts {
	t.Helper()
	all := texts{of: reflect.TypeFor[T](), comments: make(map[string]string)}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok {
				all.add(spec)
			}
			return true
		})
	}
	return all
}

func (x texts) add(spec *ast.TypeSpec) {
	structure, ok := spec.Type.(*ast.StructType)
	if !ok {
		return
	}
	for _, field := range structure.Fields.List {
		for _, name := range field.Names {
			x.comments[spec.Name.Name+"."+name.Name] = strings.TrimSpace(field.Doc.Text())
		}
	}
}

// section is a struct with keys, with the text of its field.
type section struct{ name, text string }

// sections are those around a key, the outermost first.
func (x texts) sections(k key) (all []section) {
	names := strings.Split(k.name, ".")
	of := x.of
	for i := range k.index[:len(k.index)-1] {
		f := of.Field(k.index[i])
		if name := f.Tag.Get("key"); name != "" && !strings.HasPrefix(name, ",") {
			all = append(all, section{strings.Join(names[:len(all)+1], "."), x.comments[of.Name()+"."+f.Name]})
		}
		of = f.Type
	}
	return all
}

// key is the text of a key; empty where its usage is enough.
func (x texts) key(of reflect.Type, k key) string {
	owner := of
	for _, i := range k.index[:len(k.index)-1] {
		owner = owner.Field(i).Type
	}
	text := x.comments[owner.Name()+"."+owner.Field(k.index[len(k.index)-1]).Name]
	if again := map[string]string{tagValue: "SIGHUP reads it again.", tagFile: "SIGHUP reads the file again."}[k.reload]; again != "" {
		text = strings.TrimSpace(text + "\n" + again)
	}
	return text
}

// yaml writes the annotated reference.
func (x texts) yaml(keys keySet, defaults any) string {
	var b strings.Builder
	target := pointerTo(defaults)
	var open []section
	for _, k := range keys {
		around := x.sections(k)
		same := 0
		for same < min(len(open), len(around)) && open[same].name == around[same].name {
			same++
		}
		if same == 0 {
			b.WriteString("\n")
		}
		for depth, s := range around[same:] {
			writeYAML(&b, same+depth, s.text, s.name, "")
		}
		open = around
		if k.fileOnly() {
			x.yamlEntries(&b, len(around), k, target)
			continue
		}
		writeYAML(&b, len(around), x.key(x.of, k), k.name, " "+flow(k.value(target)))
	}
	return b.String()
}

// yamlEntries writes the default of a map, with the texts of the keys of its entries, or an empty list,
// whose text has those of the keys.
func (x texts) yamlEntries(b *strings.Builder, depth int, k key, target any) {
	v := reflect.ValueOf(k.field(target)).Elem()
	if v.Kind() == reflect.Slice {
		text := x.key(x.of, k)
		for _, e := range k.entries {
			if own := x.key(v.Type().Elem(), e); own != "" {
				text += "\n" + e.name + ": " + own
			}
		}
		writeYAML(b, depth, text, k.name, " []")
		return
	}
	writeYAML(b, depth, x.key(x.of, k), k.name, "")
	for _, name := range sortedKeys(v) {
		writeYAML(b, depth+1, "", name, "")
		for _, e := range k.entries {
			writeYAML(b, depth+2, x.key(v.Type().Elem(), e), e.name, " "+flow(e.value(mapEntry(v, name))))
		}
	}
}

func writeYAML(b *strings.Builder, depth int, comment, name, value string) {
	indent := strings.Repeat("  ", depth)
	if comment != "" {
		for line := range strings.SplitSeq(comment, "\n") {
			fmt.Fprintf(b, "%s# %s\n", indent, line)
		}
	}
	fmt.Fprintf(b, "%s%s:%s\n", indent, name[strings.LastIndex(name, ".")+1:], value)
}

// flow writes a value on one line.
func flow(value any) string {
	var node yaml.Node
	if err := node.Encode(value); err != nil {
		panic(err)
	}
	node.Style |= yaml.FlowStyle
	raw, err := yaml.Marshal(&node)
	if err != nil {
		panic(err)
	}
	return strings.TrimSpace(string(bytes.ReplaceAll(raw, []byte("\n    "), []byte(" "))))
}

func pointerTo(value any) any {
	p := reflect.New(reflect.TypeOf(value))
	p.Elem().Set(reflect.ValueOf(value))
	return p.Interface()
}

const tableHead = "| key | default | |\n|---|---|---|\n"

// tables writes a table of keys for each outermost section.
func (x texts) tables(keys keySet, defaults any) string {
	var b strings.Builder
	target := pointerTo(defaults)
	last := ""
	for _, k := range keys {
		name, _, _ := strings.Cut(k.name, ".")
		around := x.sections(k)
		if name != last {
			fmt.Fprintf(&b, "\n## %s\n\n", name)
			if len(around) > 0 && around[0].text != "" {
				b.WriteString(oneLine(around[0].text) + "\n\n")
			} else if k.fileOnly() {
				b.WriteString(oneLine(x.key(x.of, k)) + "\n\n")
			}
			b.WriteString(tableHead)
		}
		last = name
		x.rows(&b, k, around, target)
	}
	return strings.TrimPrefix(b.String(), "\n")
}

func (x texts) rows(b *strings.Builder, k key, around []section, target any) {
	v := reflect.ValueOf(k.field(target)).Elem()
	entryName := ".NAME."
	switch {
	case !k.fileOnly():
		text := x.key(x.of, k)
		if len(around) > 1 && text != "" && around[1].text != "" && strings.Count(text, ".") == 1 {
			text = around[1].text + " " + text
		}
		row(b, k.name, k, text, flow(k.value(target)))
		return
	case v.Kind() == reflect.Slice:
		row(b, k.name, k, x.key(x.of, k), "[]")
		entryName = "[]."
	}
	for _, e := range k.entries {
		def := e.def
		if v.Kind() == reflect.Map {
			def = flow(e.value(mapEntry(v, sortedKeys(v)[0])))
		}
		row(b, k.name+entryName+e.name, e, x.key(v.Type().Elem(), e), def)
	}
}

// row prefers the text of a key to the usage of its flag, which is shorter.
func row(b *strings.Builder, name string, k key, text, def string) {
	if usage := strings.NewReplacer("<", "", ">", "").Replace(k.usage); usage != "" && strings.TrimSuffix(text, "SIGHUP reads the file again.") == "" {
		text = strings.ToUpper(usage[:1]) + usage[1:] + ". " + text
	}
	if k.secret == tagValue && k.usage == "" && !strings.Contains(name, "[]") {
		text += " Secret: set by file or variable, there is no flag."
	}
	if def = strings.Trim(def, `"`); def != "" {
		def = "`" + def + "`"
	}
	fmt.Fprintf(b, "| `%s` | %s | %s |\n", name, def, strings.ReplaceAll(oneLine(text), "|", `\|`))
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// extended has a key that no other file of this package names: one field is all that a key needs.
type extended struct {
	HTTP  HTTP `key:"http"`
	Extra struct {
		// Answer to everything, at most 100.
		Answer int `key:"answer" default:"42" min:"1" max:"100" usage:"give this <number> as the answer"`
		// Modes of the answer.
		Modes  []string `key:"modes" default:"red" values:"red,green"`
		Pin    string   `key:"pin" secret:"value"`
		Cipher string   `key:"cipher" secret:"file" reload:"file" usage:"cipher <file>"`
	} `key:"extra"`
}

func TestKey_OneField_HasFlagVariableFileChecksPrintAndReference(t *testing.T) {
	keys := keysOf[extended]()
	defaults := func() (e extended) { keys.setDefaults(&e); return e }
	if got := defaults().Extra.Answer; got != 42 {
		t.Errorf("default %d", got)
	}
	everyKey(t, keys, defaults)

	e := defaults()
	e.Extra.Answer, e.Extra.Modes, e.Extra.Pin = 101, []string{"red", "blue"}, "s3cret"
	var p problems
	keys.check(&e, &p)
	want := []string{"extra.answer: 101 is too much; it must be at most 100", `extra.modes: "blue" is not known; write one of red, green`}
	if err := p.err(); err == nil || err.Error() != strings.Join(want, "\n") {
		t.Errorf("checks: %v", err)
	}
	var printed strings.Builder
	if err := keys.print(&printed, &e); err != nil || strings.Contains(printed.String(), "s3cret") || !strings.Contains(printed.String(), "answer: 101") {
		t.Errorf("printed, %v:\n%s", err, printed.String())
	}

	x := texts{of: reflect.TypeFor[extended](), comments: map[string]string{".Answer": "Answer to everything,\nat most 100."}}
	if got, want := x.yaml(keys, defaults()), "\nextra:\n  # Answer to everything,\n  # at most 100.\n  answer: 42\n  modes: [red]\n  pin: \"\"\n"; !strings.Contains(got, want) {
		t.Errorf("no\n%s in the reference\n%s", want, got)
	}
	if got, want := x.tables(keys, defaults()), "| `extra.answer` | `42` | Answer to everything, at most 100. |\n"; !strings.Contains(got, want) {
		t.Errorf("no %s in the tables\n%s", want, got)
	}
	if unknown := slices.DeleteFunc(keys.names(), func(n string) bool { return strings.HasPrefix(n, "http.") }); len(unknown) != 4 {
		t.Errorf("%q", unknown)
	}
}
