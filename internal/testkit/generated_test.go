package testkit_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidemark/tidemark/internal/testkit"
)

// failure records the first failure, and stops the caller as a test would.
type failure struct{ text string }

func (f *failure) Helper() {}

func (f *failure) Fatalf(format string, args ...any) {
	f.text = fmt.Sprintf(format, args...)
	panic(f)
}

// generated returns the failure of a comparison; empty if there is none.
func generated(file, mark, want string) (text string) {
	f := &failure{}
	defer func() {
		if r := recover(); r != nil && r != f {
			panic(r)
		}
		text = f.text
	}()
	testkit.Generated(f, file, mark, want)
	return ""
}

func TestGenerated_Part_IsComparedAndWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "page.md")
	page := "# Page\n<!-- keys -->\na\nb\n<!-- end of keys -->\nend\n"
	if err := os.WriteFile(file, []byte(page), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TIDEMARK_UPDATE", "")
	if text := generated(file, "keys", "a\nb\n"); text != "" {
		t.Errorf("the same text: %s", text)
	}
	if text := generated(file, "keys", "a\nc\n"); !strings.Contains(text, "page.md:4 ") || !strings.HasSuffix(text, "\nc") {
		t.Errorf("another text: %q", text)
	}
	if text := generated(file, "codes", "a\n"); !strings.Contains(text, "<!-- codes -->") {
		t.Errorf("another mark: %q", text)
	}
	t.Setenv("TIDEMARK_UPDATE", "1")
	if text := generated(file, "keys", "c\n"); text != "" {
		t.Errorf("update: %s", text)
	}
	raw, err := os.ReadFile(file)
	if want := "# Page\n<!-- keys -->\nc\n<!-- end of keys -->\nend\n"; err != nil || string(raw) != want {
		t.Errorf("written %q, %v; want %q", raw, err, want)
	}
}
