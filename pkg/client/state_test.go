package client

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestFollowGoesOnFromState(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	first := newServer(t, false, thenSilence(message(1)+message(2)))
	opts := first.options()
	opts.From, opts.State = "all", FileState(path)
	if _, err := collect(t, opts, 2); err != nil {
		t.Fatal(err)
	}
	if got := first.request(0).URL.Query().Get("from"); got != "all" {
		t.Errorf("the first request asks from %q", got)
	}

	second := newServer(t, false, thenSilence("event: tidemark.open\ndata: {}\n\n"+message(3)))
	opts = second.options()
	opts.From, opts.State = "all", FileState(path)
	evs, err := collect(t, opts, 2)
	if want := []string{"2-k7f3q9", "3-k7f3q9"}; err != nil || !slices.Equal(ids(evs), want) {
		t.Errorf("got %q, %v, want %q", ids(evs), err, want)
	}
	r := second.request(0)
	if r.Header.Get("Last-Event-ID") != "2-k7f3q9" || r.URL.Query().Has("from") {
		t.Errorf("the second run asks for %s after %q", r.URL, r.Header.Get("Last-Event-ID"))
	}
}

// While the caller handles an event, the state contains the position of the previous event.
func TestStateFollowsTheCaller(t *testing.T) {
	srv := newServer(t, false, thenSilence(message(1)+"event: tidemark.position\ndata: {}\nid: 5-k7f3q9\n\n"+message(7)))
	opts := srv.options()
	opts.State = FileState(filepath.Join(t.TempDir(), "state"))
	var got []string
	for _, err := range Follow(t.Context(), opts) {
		if err != nil {
			t.Fatal(err)
		}
		position, err := opts.State.Load()
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, position); len(got) == 2 {
			break
		}
	}
	if want := []string{"", "5-k7f3q9"}; !slices.Equal(got, want) {
		t.Errorf("states %q, want %q", got, want)
	}
}

func TestFileState(t *testing.T) {
	dir := t.TempDir()
	s := FileState(filepath.Join(dir, "state"))
	if got, err := s.Load(); got != "" || err != nil {
		t.Errorf("no file: %q, %v", got, err)
	}
	for _, position := range []string{"1-k7f3q9", "22-k7f3q9", "3"} {
		if err := s.Save(position); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Load(); got != position || err != nil {
			t.Errorf("saved %q, loaded %q, %v", position, got, err)
		}
	}
	if files, _ := os.ReadDir(dir); len(files) != 1 {
		t.Errorf("%d files are left, want the state alone", len(files))
	}
}

func TestFileStateByHand(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	for text, want := range map[string]string{
		"1042":                             "1042",
		"1042-k7f3q9\r\n":                  "1042-k7f3q9",
		"":                                 "",
		"\n":                               "",
		"1\n2\n":                           "",
		" 1":                               "",
		"1\x00":                            "",
		"\xff":                             "",
		strings.Repeat("1", maxPosition+1): "",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := FileState(path).Load()
		if got != want || (want == "") != errors.Is(err, ErrState) {
			t.Errorf("%q: %q, %v", text, got, err)
		}
		if err != nil && !strings.Contains(err.Error(), path) {
			t.Errorf("%q: %v does not name the file", text, err)
		}
	}
}

func TestFollowStopsWithoutState(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state")
	srv := newServer(t, false, thenSilence(message(1)+message(2)))
	opts := srv.options()

	if err := os.WriteFile(path, []byte("\x00\x00"), 0o600); err != nil {
		t.Fatal(err)
	}
	opts.State = FileState(path)
	if evs, err := collect(t, opts, 1); !errors.Is(err, ErrState) || len(evs) > 0 || srv.count() > 0 {
		t.Errorf("corrupt: %q, %v", ids(evs), err)
	}

	opts.State = FileState(filepath.Join(dir, "missing", "state"))
	if evs, err := collect(t, opts, 2); !errors.Is(err, os.ErrNotExist) || len(evs) != 1 {
		t.Errorf("cannot save: %q, %v", ids(evs), err)
	}
}
