package subject_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/tidemark/tidemark/internal/subject"
)

func TestEncode_Value_OneToken(t *testing.T) {
	for value, want := range map[string]string{
		"42":                          "42",
		"alice.b@example.com":         "alice%2Eb@example%2Ecom",
		"a b":                         "a%20b",
		"100%":                        "100%25",
		"%41":                         "%2541",
		"x>":                          "x%3E",
		"*":                           "%2A",
		"\x00\t\x7f\u0085":            "%00%09%7F%C2%85",
		"a\u00a0b\u2028\u3000\ufeff":  "a%C2%A0b%E2%80%A8%E3%80%80%EF%BB%BF",
		"uid=bob,ou=people":           "uid=bob,ou=people",
		"spiffe://example.org/ns/web": "spiffe://example%2Eorg/ns/web",
		"über 😀":                      "über%20😀",
		"\u200bzw":                    "\u200bzw", // not white space
		"$JS":                         "$JS",
		strings.Repeat(".", 255):      strings.Repeat("%2E", 255),
	} {
		got, err := subject.Encode(value)
		if err != nil || got != want {
			t.Errorf("Encode(%q) = %q, %v; want %q", value, got, err, want)
		}
		if back, err := subject.Decode(want); err != nil || back != value {
			t.Errorf("Decode(%q) = %q, %v; want %q", want, back, err, value)
		}
	}
}

func TestEncode_NotAValue_Refused(t *testing.T) {
	for value, want := range map[string]error{
		"": subject.ErrEmpty, strings.Repeat("a", 256): subject.ErrTooLong, "a\xff": subject.ErrNotUTF8, "\xed\xa0\x80": subject.ErrNotUTF8,
	} {
		if got, err := subject.Encode(value); !errors.Is(err, want) || got != "" {
			t.Errorf("Encode(%q) = %q, %v; want %v", value, got, err, want)
		}
	}
	if _, err := subject.Decode(strings.Repeat("a", 256)); !errors.Is(err, subject.ErrTooLong) {
		t.Errorf("a token of a value that is too long: %v", err)
	}
}

func TestCheckSpelling_OtherSpelling_NamesTheRightOne(t *testing.T) {
	for token, want := range map[string]string{
		"alice%40example%2Ecom": "alice@example%2Ecom",
		"alice%2eb":             "alice%2Eb",
		"%41":                   "A",
		"%C3%BC":                "ü",
		"100%":                  "100%25",
		"100%2":                 "100%252",
		"%zz":                   "%25zz",
		"%ff":                   "%25ff", // invalid UTF-8: a literal percent sign
		"%C2":                   "%25C2",
		"a b":                   "a%20b",
		"a.b":                   "a%2Eb",
		"%25%":                  "%25%25",
	} {
		err := subject.CheckSpelling(token)
		spelling, ok := errors.AsType[*subject.SpellingError](err)
		if !ok || spelling.Want != want || !strings.Contains(err.Error(), want) {
			t.Errorf("CheckSpelling(%q): %v; want the spelling %q", token, err, want)
		}
		if subject.CheckSpelling(want) != nil {
			t.Errorf("the spelling %q is refused, too", want)
		}
	}
	for _, token := range []string{"42", "%20", "a%2Eb", "%EF%BB%BF", "@=,/"} {
		if err := subject.CheckSpelling(token); err != nil {
			t.Errorf("CheckSpelling(%q): %v", token, err)
		}
	}
}

// Every character of Unicode is either copied or escaped. The list in the documentation equals the white
// space and controls of the current Unicode version, with U+FEFF.
func TestEncode_EveryCharacter_AsListed(t *testing.T) {
	for r := range rune(unicode.MaxRune + 1) {
		if !utf8.ValidRune(r) {
			continue
		}
		want := string(r)
		if strings.ContainsRune(".*>%\ufeff", r) || unicode.IsSpace(r) || unicode.IsControl(r) {
			want = strings.ReplaceAll(fmt.Sprintf(" % X", string(r)), " ", "%")
		}
		if got, err := subject.Encode(string(r)); got != want || err != nil {
			t.Fatalf("%U: %q, %v; want %q", r, got, err, want)
		}
	}
}

func TestEncode_PlainValue_AllocatesNothing(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() { _, _ = subject.Encode("auth0|5f7c8ec7") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzEncode checks that decoding a token returns its value, and that the token is one token of a subject
// for NATS.
func FuzzEncode(f *testing.F) {
	for _, s := range []string{"42", "alice.b@example.com", "a b", "%41", "*", ">", "\u00a0", "\x00", "über", "a\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		token, err := subject.Encode(value)
		if err != nil {
			if subject.CheckValue(value) == nil {
				t.Errorf("%q: %v", value, err)
			}
			return
		}
		if back, err := subject.Decode(token); err != nil || back != value {
			t.Errorf("%q is encoded as %q, which decodes to %q, %v", value, token, back, err)
		}
		s := "a." + token + ".b"
		if strings.Count(s, ".") != 2 || strings.ContainsAny(token, "*> \t\r\n") || !server.IsValidLiteralSubject(s) || len(token) > 3*len(value) {
			t.Errorf("%q is encoded as %q, which is not one plain token", value, token)
		}
	})
}

// FuzzDecode checks that an accepted token is the encoding of its value, and that the spelling in an error
// is accepted.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{"42", "%2E", "%2e", "%41", "100%", "%ff", "%C2%A0", "a.b", "%%", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, token string) {
		value, err := subject.Decode(token)
		if err == nil {
			if again, err := subject.Encode(value); err != nil || again != token {
				t.Errorf("%q decodes to %q, which is encoded as %q, %v", token, value, again, err)
			}
			return
		}
		spelling, ok := errors.AsType[*subject.SpellingError](err)
		if ok && (spelling.Want == token || subject.CheckSpelling(spelling.Want) != nil) {
			t.Errorf("%q: the spelling %q is refused, too", token, spelling.Want)
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	for _, value := range []string{"42", "auth0|5f7c8ec7a1b2", "alice.b@example.com"} {
		b.Run(value, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = subject.Encode(value)
			}
		})
	}
}

func TestSpellingError_TwoValuesPossible_NamesBothSpellings(t *testing.T) {
	for token, want := range map[string]string{
		"%41":       `write A for the value "A" or %2541 for the value "%41" (`,
		"alice%2eb": `write alice%2Eb for the value "alice.b" or alice%252eb for the value "alice%2eb" (`,
		"100%":      "write 100%25 (",
		"a b":       "write a%20b (",
	} {
		if err := subject.CheckSpelling(token); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want %s", token, err, want)
		}
	}
}
