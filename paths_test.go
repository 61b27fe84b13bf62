package tidemark_test

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// namedPath is a path of this repository as code, messages and documents name it.
var namedPath = regexp.MustCompile(`\b(?:cmd|pkg|internal|streams|config|docs|e2e|examples)/[A-Za-z0-9_.{}*/-]*[A-Za-z0-9_}*]`)

// Text files of these kinds are read.
var namesPaths = []string{".go", ".md", ".yaml", ".yml", ".sh", ".conf", ".template", ".service", ".mod", ""}

func TestPaths_NamedInTheRepository_Exist(t *testing.T) {
	found := 0
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if d.Name() == "node_modules" {
				return filepath.SkipDir
			}
			if name == ".ci" || name == ".github" {
				return nil
			}
			return skipDir(d.Name())
		}
		if name == "CHANGELOG.md" || !slices.Contains(namesPaths, filepath.Ext(name)) {
			return nil // the changelog names what was
		}
		raw, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		text := strings.ToValidUTF8(string(raw), "")
		for _, at := range namedPath.FindAllStringIndex(text, -1) {
			if at[0] > 0 && strings.ContainsRune("/.$-_@:~", rune(text[at[0]-1])) && !strings.HasSuffix(text[:at[0]], "./") && !strings.HasSuffix(text[:at[0]], module) {
				continue // the end of a longer path
			}
			found++
			if p := text[at[0]:at[1]]; !pathExists(name, p) {
				t.Errorf("%s names %s, which does not exist", name, p)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if found < 500 {
		t.Errorf("only %d paths were found; does the test run at the module's root?", found)
	}
}

// pathExists reports whether a path exists in the root, or in the directory of the file that contains it.
func pathExists(from, p string) bool {
	for _, dir := range []string{".", filepath.Dir(from)} {
		for _, try := range []string{p, strings.TrimSuffix(p, path.Ext(p))} { // config.Reload, a name in a package
			try = strings.NewReplacer("...", "", "{", "*", "}", "*").Replace(try)
			if matches, err := filepath.Glob(filepath.Join(dir, filepath.FromSlash(try))); err == nil && len(matches) > 0 {
				return true
			}
		}
	}
	return false
}
