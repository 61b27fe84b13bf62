package problem_test

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tidemark/tidemark/internal/problem"
	"github.com/tidemark/tidemark/pkg/auth"
)

var form = regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`)

// declared returns the codes among the constants of kinds.go.
func declared(t *testing.T) (codes []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "kinds.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, decl := range file.Decls {
		group, ok := decl.(*ast.GenDecl)
		if !ok || group.Tok != token.CONST {
			continue
		}
		for _, spec := range group.Specs {
			text, err := strconv.Unquote(spec.(*ast.ValueSpec).Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			codes = append(codes, text)
		}
	}
	return codes
}

func TestKinds_EachCode_IsInTheTableOnce(t *testing.T) {
	var codes []string
	last := 0
	for _, k := range problem.Kinds() {
		codes = append(codes, string(k.Code))
		if !form.MatchString(string(k.Code)) || k.Title == "" || k.Remedy == "" || http.StatusText(k.Status) == "" || k.Type() != "urn:tidemark:"+string(k.Code) {
			t.Errorf("incomplete: %+v", k)
		}
		if k.Status < last {
			t.Errorf("%s: %d after %d", k.Code, k.Status, last)
		}
		last = k.Status
	}
	if want := declared(t); !slices.Equal(codes, want) {
		t.Errorf("the table has %q\nthe constants are %q", codes, want)
	}
}

func TestWrite_Document_HasTypeCodeTitleAndStatus(t *testing.T) {
	for name, c := range map[string]struct {
		give problem.Document
		want problem.Document
	}{
		"code":           {problem.Document{Code: problem.StoreFull, Detail: "d"}, problem.Document{Type: "urn:tidemark:store-full", Code: problem.StoreFull, Title: "Event store full", Status: 507, Detail: "d"}},
		"status":         {problem.Document{Status: 409}, problem.Document{Type: "urn:tidemark:conflict", Code: problem.Conflict, Title: "Conflict", Status: 409}},
		"unknown status": {problem.Document{Status: 418}, problem.Document{Type: "urn:tidemark:invalid-request", Code: problem.InvalidRequest, Title: "Invalid request", Status: 418}},
		"other 5xx":      {problem.Document{Status: 502}, problem.Document{Type: "urn:tidemark:internal", Code: problem.Internal, Title: "Internal error", Status: 502}},
		"own type":       {problem.Document{Status: 429, Type: "https://example.com/quota", Title: "Quota"}, problem.Document{Type: "https://example.com/quota", Code: problem.RateLimited, Title: "Quota", Status: 429}},
		"both":           {problem.Document{Code: problem.Undeliverable, Status: 400}, problem.Document{Type: "urn:tidemark:undeliverable", Code: problem.Undeliverable, Title: "Undeliverable subject", Status: 400}},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			problem.Write(w, c.give)
			var got problem.Document
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != c.want.Status {
				t.Fatalf("status %d, %v", w.Code, err)
			}
			if got != c.want {
				t.Errorf("%+v\nwant %+v", got, c.want)
			}
			if h := w.Header(); h.Get("Content-Type") != "application/problem+json" || h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("headers %v", h)
			}
		})
	}
}

// People read problems in terminals: a subject such as news.> stays legible.
func TestWrite_Detail_IsNotEscapedForHTML(t *testing.T) {
	w := httptest.NewRecorder()
	problem.Write(w, problem.Document{Code: problem.InvalidRequest, Detail: "news.> & <x>"})
	if !strings.Contains(w.Body.String(), `"detail":"news.> & <x>"`) {
		t.Error(w.Body)
	}
}

func TestOf_Error_HasCodeStatusAndHeaders(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		code   problem.Code
		status int
		header http.Header
	}{
		"any":         {fmt.Errorf("bad"), problem.InvalidRequest, 400, nil},
		"refused":     {&auth.Error{Status: 403}, problem.Forbidden, 403, nil},
		"challenge":   {&auth.Error{Status: 401, Challenge: "Bearer"}, problem.Unauthenticated, 401, http.Header{"Www-Authenticate": {"Bearer"}}},
		"expired":     {&auth.Error{Status: 401, Err: auth.ErrExpired}, problem.TokenExpired, 401, nil},
		"keys":        {&auth.Error{Status: 503, Err: auth.ErrKeysUnavailable}, problem.KeysUnavailable, 503, http.Header{"Retry-After": {"5"}}},
		"cause":       {&auth.Error{Status: 403, Err: problem.CrossOrigin}, problem.CrossOrigin, 403, nil},
		"cause alone": {fmt.Errorf("%w: x", problem.StoreFull), problem.StoreFull, 507, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			problem.WriteError(w, c.err)
			var got problem.Document
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got.Code != c.code || got.Status != c.status || w.Code != c.status || got.Detail != c.err.Error() {
				t.Errorf("%d %+v, %v", w.Code, got, err)
			}
			for name, want := range c.header {
				if got := w.Header()[name]; !slices.Equal(got, want) {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
		})
	}
}
