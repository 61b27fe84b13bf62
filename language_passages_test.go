package tidemark_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// passage is a paragraph, a list item, a table cell or a message. Its lines are those of the file.
type passage struct {
	file string
	line int // of its first line
	text string
}

// docComment is the first sentence of the comment on an exported declaration.
type docComment struct {
	file     string
	line     int
	name     string
	named    bool // it has to begin with the name
	sentence string
}

// passages reads the prose of a file: comments and messages of Go, comments of YAML and JavaScript, and Markdown
// outside of code blocks. It returns nothing for other files.
func passages(t *testing.T, name, text string) ([]passage, []docComment) {
	t.Helper()
	switch filepath.Ext(name) {
	case ".go":
		return goPassages(t, name, text)
	case ".md":
		if name == "CHANGELOG.md" {
			text = unreleased(text)
		}
		return paragraphs(name, 1, markdownProse(text)), nil
	case ".yaml", ".yml":
		return append(lineComments(name, text, yamlComment), descriptions(name, text)...), nil
	case ".js", ".mjs", ".ts":
		return lineComments(name, text, scriptComment), nil
	}
	return nil, nil
}

// unreleased keeps the lines before the first release: older sections are history.
func unreleased(changelog string) string {
	_, rest, ok := strings.Cut(changelog, "\n## ")
	if !ok {
		return changelog
	}
	if end := strings.Index(rest, "\n## "); end >= 0 {
		return changelog[:len(changelog)-len(rest)+end]
	}
	return changelog
}

var (
	codeSpan   = regexp.MustCompile("``[^`]+``|`[^`\n]+`")
	linkTarget = regexp.MustCompile(`\]\([^)\s]*\)`)
	listItem   = regexp.MustCompile(`^\s*(?:[-*+]|\d+\.) +`)
)

// markdownProse empties the lines of code blocks, comments and rulers.
func markdownProse(text string) []string {
	lines := strings.Split(text, "\n")
	fenced, comment := false, false
	for i, line := range lines {
		trimmed := strings.TrimSpace(line)
		fence := strings.HasPrefix(trimmed, "```")
		indented := strings.HasPrefix(line, "    ") && (i == 0 || lines[i-1] == "" || strings.HasPrefix(lines[i-1], "    ")) && !listItem.MatchString(line)
		comment = comment || strings.HasPrefix(trimmed, "<!--")
		if fence || fenced || comment || indented || strings.HasPrefix(trimmed, "|--") || strings.HasPrefix(trimmed, "|:-") {
			lines[i] = ""
		}
		fenced = fenced != fence
		comment = comment && !strings.Contains(line, "-->")
		if strings.HasPrefix(trimmed, "#") {
			lines[i] = strings.TrimLeft(line, "# ") + "\x00" // ends its paragraph
		}
	}
	return lines
}

// paragraphs joins lines up to an empty line, a list item or the end of a heading. The cells of a table are
// paragraphs of their own.
func paragraphs(file string, first int, lines []string) (all []passage) {
	var text []string
	start := first
	flush := func() {
		if joined := strings.Join(text, "\n"); strings.TrimSpace(joined) != "" {
			all = append(all, passage{file, start, plain(joined)})
		}
		text = nil
	}
	for i, line := range lines {
		if strings.HasPrefix(strings.TrimSpace(line), "|") {
			flush()
			for cell := range strings.SplitSeq(codeSpan.ReplaceAllString(line, "CODE"), "|") {
				if cell = strings.TrimSpace(cell); cell != "" {
					all = append(all, passage{file, first + i, plain(cell)})
				}
			}
			continue
		}
		item := listItem.FindString(line)
		line, heading := strings.CutSuffix(line[len(item):], "\x00")
		if item != "" || strings.TrimSpace(line) == "" {
			flush()
		}
		if len(text) == 0 {
			start = first + i
		}
		if text = append(text, strings.TrimSpace(line)); heading {
			flush()
		}
	}
	flush()
	return all
}

// plain masks code and the targets of links.
func plain(text string) string {
	mask := func(code string) string { return "CODE" + strings.Repeat("\n", strings.Count(code, "\n")) }
	return strings.TrimSpace(linkTarget.ReplaceAllString(codeSpan.ReplaceAllStringFunc(text, mask), "]"))
}

var (
	yamlComment   = regexp.MustCompile(`(?:^|\s)#+ ?(.*)$`)
	scriptComment = regexp.MustCompile(`^\s*(?://|/\*\*?|\*/?) ?(.*?)(?:\*/)?$|\s// (.*)$`)
)

// lineComments joins the comments of consecutive lines.
func lineComments(file, text string, comment *regexp.Regexp) (all []passage) {
	var block []string
	start := 0
	flush := func() {
		all = append(all, paragraphs(file, start, block)...)
		block = nil
	}
	for i, line := range strings.Split(text, "\n") {
		found := comment.FindStringSubmatch(line)
		if found == nil {
			flush()
			continue
		}
		if strings.TrimSpace(line[:strings.Index(line, found[0])]) != "" {
			flush() // it stands behind code
		}
		if len(block) == 0 {
			start = i + 1
		}
		block = append(block, strings.Join(found[1:], ""))
	}
	flush()
	return all
}

var description = regexp.MustCompile(`^\s*(?:description|summary): *[>|]?-? *(.*)$`)

// descriptions reads the texts of an OpenAPI document.
func descriptions(file, text string) (all []passage) {
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		found := description.FindStringSubmatch(lines[i])
		if found == nil {
			continue
		}
		depth, first, block := indent(lines[i]), i+1, []string{found[1]}
		for i+1 < len(lines) && indent(lines[i+1]) > depth {
			i++
			block = append(block, lines[i])
		}
		all = append(all, paragraphs(file, first, block)...)
	}
	return all
}

func indent(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }

func goPassages(t *testing.T, name, text string) (all []passage, docs []docComment) {
	t.Helper()
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	for _, group := range parsed.Comments {
		all = append(all, paragraphs(name, files.Position(group.Pos()).Line, commentProse(group))...)
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		for _, m := range messages(n) {
			if s, ok := literal(m); ok {
				all = append(all, passage{name, files.Position(m.Pos()).Line, plain(s)})
			}
		}
		return true
	})
	if strings.HasSuffix(name, "_test.go") {
		return all, nil
	}
	return all, docComments(files, parsed)
}

// commentProse returns the lines of a comment, with code blocks and directives emptied.
func commentProse(group *ast.CommentGroup) (lines []string) {
	for _, c := range group.List {
		text := strings.TrimSuffix(strings.TrimPrefix(c.Text, "/*"), "*/")
		for line := range strings.SplitSeq(text, "\n") {
			body, isLine := strings.CutPrefix(line, "//")
			code := strings.HasPrefix(body, "\t") || strings.HasPrefix(body, "    ") && !listItem.MatchString(body)
			directive := isLine && body != "" && !strings.HasPrefix(body, " ") && !strings.HasPrefix(body, "\t")
			if code && isLine || directive {
				body = ""
			}
			if heading, ok := strings.CutPrefix(strings.TrimSpace(body), "# "); ok {
				body = heading + "\x00"
			}
			lines = append(lines, body)
		}
	}
	return lines
}

// Fields of structs whose strings people read: cobra's commands, problem documents, metrics, findings of doctor.
var messageFields = []string{"Use", "Short", "Long", "Detail", "Title", "Help", "Usage", "Remedy", "Description", "Summary"}

// Calls whose last string is a flag's usage, and calls whose first string is a log message or an error.
var (
	flagCall    = regexp.MustCompile(`^(?:(?:Bool|String|StringSlice|StringArray|Int|Int64|Uint|Uint64|Float64|Duration|Count)(?:Var)?P?|VarP?|VarPF)$`)
	messageCall = regexp.MustCompile(`^(?:(?:Debug|Info|Warn|Error)(?:Context)?|Log|LogAttrs|New|Errorf)$`)
)

// messages returns the expressions of a node that are shown to people.
func messages(n ast.Node) []ast.Expr {
	switch n := n.(type) {
	case *ast.KeyValueExpr:
		if key, ok := n.Key.(*ast.Ident); ok && slices.Contains(messageFields, key.Name) {
			return []ast.Expr{n.Value}
		}
	case *ast.CallExpr:
		called, ok := n.Fun.(*ast.SelectorExpr)
		if !ok || len(n.Args) == 0 {
			return nil
		}
		if of, ok := called.X.(*ast.Ident); ok && (of.Name == "t" || of.Name == "b" || of.Name == "tb") {
			return nil // the testing package's
		}
		if last := n.Args[len(n.Args)-1]; len(n.Args) > 1 && flagCall.MatchString(called.Sel.Name) {
			return []ast.Expr{last}
		}
		if messageCall.MatchString(called.Sel.Name) {
			return n.Args[:min(3, len(n.Args))] // a context or a level may come first
		}
	}
	return nil
}

// literal evaluates a string, also in parts joined by +.
func literal(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind == token.STRING {
			s, err := strconv.Unquote(e.Value)
			return s, err == nil
		}
	case *ast.BinaryExpr:
		x, ok := literal(e.X)
		y, also := literal(e.Y)
		return x + y, ok && also
	}
	return "", false
}

// docComments returns the first sentences on exported types, functions, methods of exported types, and single
// variables and constants.
func docComments(files *token.FileSet, parsed *ast.File) (all []docComment) {
	add := func(name string, named bool, doc *ast.CommentGroup) {
		if doc == nil || !ast.IsExported(name) {
			return
		}
		sentence := strings.Join(strings.Fields(strings.ReplaceAll(doc.Text(), "\n\n", ". ")), " ")
		if end := sentenceEnd.FindStringIndex(sentence); end != nil {
			sentence = sentence[:end[0]+1]
		}
		at := files.Position(doc.Pos())
		all = append(all, docComment{at.Filename, at.Line, name, named, sentence})
	}
	for _, decl := range parsed.Decls {
		switch decl := decl.(type) {
		case *ast.FuncDecl:
			if receiver := receiverName(decl); receiver == "" || ast.IsExported(receiver) {
				add(decl.Name.Name, true, decl.Doc)
			}
		case *ast.GenDecl:
			for _, spec := range decl.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					add(spec.Name.Name, true, firstOf(spec.Doc, decl.Doc))
				case *ast.ValueSpec:
					add(spec.Names[0].Name, len(spec.Names) == 1, spec.Doc)
					if len(decl.Specs) == 1 && spec.Doc == nil {
						add(spec.Names[0].Name, len(spec.Names) == 1, decl.Doc)
					}
				}
			}
		}
	}
	return all
}

func firstOf(docs ...*ast.CommentGroup) *ast.CommentGroup {
	for _, doc := range docs {
		if doc != nil {
			return doc
		}
	}
	return nil
}

// receiverName is the type of a method's receiver, and empty for a function.
func receiverName(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return ""
	}
	e := f.Recv.List[0].Type
	for {
		switch x := e.(type) {
		case *ast.StarExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.IndexListExpr:
			e = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}
