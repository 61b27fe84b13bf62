package auth_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tidemark/tidemark/pkg/auth"
)

// file writes a temporary file.
func file(t testing.TB, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func newAPIKey(t testing.TB, name string, filters ...string) (key, line string) {
	t.Helper()
	key, line, err := auth.NewAPIKey(name, filters...)
	if err != nil {
		t.Fatal(err)
	}
	return key, line
}

func openAPIKeys(t testing.TB, lines ...string) *auth.APIKeys {
	t.Helper()
	keys, err := auth.OpenAPIKeys(file(t, strings.Join(lines, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func TestAPIKeys(t *testing.T) {
	shop, shopLine := newAPIKey(t, "shop", "codes.*", "news.>")
	desk, deskLine := newAPIKey(t, "desk", "news.>")
	unknown, _ := newAPIKey(t, "shop", ">")
	keys := openAPIKeys(t, "# a comment", "", shopLine, "  "+deskLine+"\r")
	for _, c := range []struct {
		headers []string
		name    string
		status  int
	}{
		{nil, "", 0},
		{[]string{"X-API-Key", ""}, "", 0},
		{[]string{"X-API-Key", shop}, "shop", 0},
		{[]string{"x-api-key", desk}, "desk", 0},
		{[]string{"Authorization", "Bearer " + shop}, "shop", 0},
		{[]string{"Authorization", "bearer \t " + shop}, "shop", 0},
		{[]string{"Authorization", "Bearer " + shop, "X-API-Key", shop}, "shop", 0},
		{[]string{"Authorization", "Bearer a.b.c", "X-API-Key", shop}, "shop", 0}, // a token in addition to the key
		{[]string{"Authorization", "Bearer a.b.c"}, "", 0},                        // a token of another scheme
		{[]string{"Authorization", "Basic " + shop}, "", 0},
		{[]string{"Authorization", "Bearer " + shop, "X-API-Key", desk}, "", http.StatusBadRequest},
		{[]string{"X-API-Key", shop, "X-API-Key", shop}, "", http.StatusBadRequest},
		{[]string{"Authorization", "Bearer " + shop, "Authorization", "Bearer " + shop}, "", http.StatusBadRequest},
		{[]string{"Authorization", "Bearer"}, "", http.StatusBadRequest},
		{[]string{"Authorization", "Bearer  "}, "", http.StatusBadRequest},
		{[]string{"X-API-Key", unknown}, "", http.StatusUnauthorized},
		{[]string{"Authorization", "Bearer " + unknown}, "", http.StatusUnauthorized},
		{[]string{"X-API-Key", shop + "x"}, "", http.StatusUnauthorized},
		{[]string{"X-API-Key", shop[:len(shop)-1]}, "", http.StatusUnauthorized},
		{[]string{"X-API-Key", strings.ToUpper(shop)}, "", http.StatusUnauthorized},
		{[]string{"X-API-Key", " " + shop}, "", http.StatusUnauthorized},
		{[]string{"X-API-Key", strings.Fields(shopLine)[1]}, "", http.StatusUnauthorized}, // the hash instead of the key
		{[]string{"X-API-Key", strings.TrimPrefix(strings.Fields(shopLine)[1], "sha256:")}, "", http.StatusUnauthorized},
		{[]string{"X-API-Key", strings.Repeat("x", 1<<16)}, "", http.StatusUnauthorized},
	} {
		id, err := keys.Identify(from("192.0.2.1:1", c.headers...))
		if id.TokenID != c.name || status(err) != c.status || (c.name == "" && c.status == 0) != errors.Is(err, auth.ErrNoIdentity) {
			t.Errorf("%.60q: %+v, %v", c.headers, id, err)
		}
		checkRefusal(t, err, shop, desk, unknown)
		if c.name == "" {
			continue
		}
		if id.Kind != auth.KindAPIKey || id.Vars != nil || id.MayPublish("codes.1") != (c.name == "shop") || !id.MayPublish("news.a.b") || id.MayPublish("other") {
			t.Errorf("%.60q: %+v", c.headers, id)
		}
	}
}

// checkRefusal checks that an error does not contain the credentials, and that a 401 has a challenge.
func checkRefusal(t testing.TB, err error, secrets ...string) {
	t.Helper()
	refused, ok := errors.AsType[*auth.Error](err)
	if !ok {
		return
	}
	for _, secret := range secrets {
		if strings.Contains(refused.Detail+refused.Challenge+fmt.Sprintf("%+v", err), secret) {
			t.Errorf("the error tells a secret: %v", err)
		}
	}
	if refused.Status == http.StatusUnauthorized && !strings.HasPrefix(refused.Challenge, `Bearer error="invalid_token", error_description="`) {
		t.Errorf("%v: challenge %q", err, refused.Challenge)
	}
	if strings.ContainsFunc(refused.Challenge, func(r rune) bool { return r < ' ' || r > '~' }) || strings.Count(refused.Challenge, `"`)%4 != 0 {
		t.Errorf("challenge %q", refused.Challenge)
	}
}

func TestAPIKeyFileErrors(t *testing.T) {
	key, line := newAPIKey(t, "shop", "codes.*")
	other, otherLine := newAPIKey(t, "desk", "codes.*")
	hash := strings.Fields(line)[1]
	many := make([]string, 1001)
	for i := range many {
		sum := sha256.Sum256(fmt.Append(nil, i))
		many[i] = fmt.Sprintf("key%d sha256:%s a", i, hex.EncodeToString(sum[:]))
	}
	for name, c := range map[string]struct{ text, want string }{
		"no hash":         {"#\n\nshop", ":3: "},
		"the key itself":  {"shop " + key + " codes.*", ":1: "},
		"the key first":   {key + " " + hash + " codes.*", ":1: "},
		"a short hash":    {"shop " + hash[:60] + " a", ":1: "},
		"another hash":    {"shop md5:" + hash[7:] + " a", ":1: "},
		"no hex":          {"shop sha256:" + strings.Repeat("x", 64) + " a", ":1: "},
		"no subjects":     {line + "\nx " + strings.Fields(otherLine)[1], ":2: "},
		"a bad subject":   {"shop " + hash + " codes.* a..b", "subject 2"},
		"a bad name":      {"a.b " + hash + " codes.*", "the name"},
		"the same name":   {line + "\nshop " + strings.Fields(otherLine)[1] + " a", "in line 1"},
		"the same hash":   {line + "\ndesk " + hash + " a", "in line 1"},
		"too many":        {strings.Join(many, "\n"), ":1001: "},
		"larger than any": {strings.Repeat("#", 1<<20+1), "larger than"},
	} {
		keys, err := auth.OpenAPIKeys(file(t, c.text))
		if err == nil || keys != nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), string(filepath.Separator)+"file") {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, secret := range []string{key, other, hash[7:]} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%s: the error repeats the line: %v", name, err)
			}
		}
	}
	if _, err := auth.OpenAPIKeys(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if keys := openAPIKeys(t); keys == nil { // no keys yet
		t.Error("an empty file")
	}
}

func TestAPIKeysReload(t *testing.T) {
	first, firstLine := newAPIKey(t, "first", ">")
	second, secondLine := newAPIKey(t, "second", ">")
	name := file(t, firstLine)
	keys, err := auth.OpenAPIKeys(name)
	if err != nil {
		t.Fatal(err)
	}
	known := func() (names []string) {
		for _, key := range []string{first, second} {
			if id, err := keys.Identify(from("192.0.2.1:1", "X-API-Key", key)); err == nil {
				names = append(names, id.TokenID)
			}
		}
		return names
	}
	write := func(text string) error {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return keys.Reload()
	}
	if err := write(secondLine); err != nil || !slices.Equal(known(), []string{"second"}) {
		t.Errorf("%v, %q", err, known())
	}
	if err := write("broken"); err == nil || !slices.Equal(known(), []string{"second"}) {
		t.Errorf("a broken file changes nothing: %v, %q", err, known())
	}
}

func TestNewAPIKeyRefuses(t *testing.T) {
	for _, name := range append(hostile, "", "#shop", "tmk_shop") {
		if key, _, err := auth.NewAPIKey(name, "a"); err == nil || key != "" {
			t.Errorf("%q: %q, %v", name, key, err)
		}
	}
	for _, filters := range [][]string{nil, {""}, {"a", "a.>.b"}} {
		if _, _, err := auth.NewAPIKey("shop", filters...); err == nil {
			t.Errorf("%q", filters)
		}
	}
	a, _ := newAPIKey(t, "x", "a")
	b, _ := newAPIKey(t, "x", "a")
	if a == b || len(a) != 47 {
		t.Errorf("%q, %q", a, b)
	}
}

func ExampleNewAPIKey() {
	key, line, err := auth.NewAPIKey("shop", "codes.*", "news.>")
	if err != nil {
		panic(err)
	}
	fmt.Println(key[:4], len(key)) // only for the shop
	fields := strings.Fields(line) // for the file of keys
	fmt.Println(fields[0], fields[1][:7], fields[2:])
	// Output:
	// tmk_ 47
	// shop sha256: [codes.* news.>]
}
