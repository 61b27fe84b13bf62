package terminal

import "testing"

func TestEscape_ControlCharacters_AreEscaped(t *testing.T) {
	for in, want := range map[string]string{
		"plain ünïcode 🌊\ttab":    "plain ünïcode 🌊\ttab",
		"\x1b[2Jcleared":          `\x1b[2Jcleared`,
		"bell\a and return\rover": `bell\a and return\rover`,
		"turned \u202etxt.exe":    `turned \u202etxt.exe`,
		"broken \xff byte":        `broken \ufffd byte`,
		"next line\u0085 control": `next line\u0085 control`,
	} {
		if got := Escape(in); got != want {
			t.Errorf("%q is printed as %q, want %q", in, got, want)
		}
	}
}
