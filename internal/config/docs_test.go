package config

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const document = "../../docs/reference/configuration.md"

// tables is what docs/reference/configuration.md lists, from the keys and the annotated reference.
// `TIDEMARK_UPDATE=1 go test ./internal/config` writes it.
func tables(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile("../../config/tidemark.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	usages := make(map[string]string)
	for _, k := range keys {
		usages[k.name] = strings.ReplaceAll(k.usage, "`", "")
		if k.secret {
			usages[k.name] = "secret: by file or variable, there is no flag"
		}
	}
	var b strings.Builder
	root := doc.Content[0].Content
	for i := 0; i < len(root); i += 2 {
		name := root[i].Value
		fmt.Fprintf(&b, "## %s\n\n", name)
		if root[i+1].Kind != yaml.MappingNode {
			b.WriteString(tableHead)
			row(&b, name, describe(usages[name], "", comment(root[i])), root[i+1])
		} else {
			if said := comment(root[i]); said != "" {
				b.WriteString(said + "\n\n")
			}
			b.WriteString(tableHead)
			rows(&b, name, root[i+1], "", usages)
		}
		b.WriteString("\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}

const tableHead = "| key | default | |\n|---|---|---|\n"

// rows writes the keys below a mapping; what is said of the mapping itself comes with its first key.
func rows(b *strings.Builder, prefix string, mapping *yaml.Node, said string, usages map[string]string) {
	for i := 0; i < len(mapping.Content); i += 2 {
		key, value := mapping.Content[i], mapping.Content[i+1]
		name := prefix + "." + key.Value
		if prefix == "feeds" {
			name = "feeds.NAME"
		}
		if value.Kind == yaml.MappingNode {
			rows(b, name, value, comment(key), usages)
			continue
		}
		row(b, name, describe(usages[name], said, comment(key)), value)
		said = ""
	}
}

// describe prefers what the reference says to the flag's usage, which says the same in fewer words.
func describe(usage, ofGroup, own string) string {
	if own == "" && usage != "" {
		own = strings.ToUpper(usage[:1]) + usage[1:] + "."
	}
	return strings.TrimSpace(own + " " + ofGroup)
}

func row(b *strings.Builder, name, said string, value *yaml.Node) {
	def := value.Value
	if value.Kind == yaml.SequenceNode {
		var items []string
		for _, item := range value.Content {
			items = append(items, item.Value)
		}
		def = "[" + strings.Join(items, ", ") + "]"
	}
	if def != "" {
		def = "`" + def + "`"
	}
	fmt.Fprintf(b, "| `%s` | %s | %s |\n", name, def, strings.ReplaceAll(said, "|", `\|`))
}

// comment is what the reference says above a key, on one line.
func comment(key *yaml.Node) string {
	var words []string
	for line := range strings.Lines(key.HeadComment) {
		words = append(words, strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "#"))...)
	}
	return strings.Join(words, " ")
}

func TestDocumentListsAllKeys(t *testing.T) {
	raw, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- keys -->\n", "<!-- end -->"
	before, rest, found := strings.Cut(string(raw), begin)
	listed, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s has no list between %q and %q", document, begin, end)
	}
	want := tables(t)
	if listed == want {
		return
	}
	if os.Getenv("TIDEMARK_UPDATE") == "" {
		t.Fatalf("%s lists other keys than there are, or says other things of them; write it anew with TIDEMARK_UPDATE=1 go test ./internal/config", document)
	}
	if err := os.WriteFile(document, []byte(before+begin+want+end+after), 0o600); err != nil {
		t.Fatal(err)
	}
}
