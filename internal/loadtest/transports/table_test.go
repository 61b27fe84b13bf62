package transports

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestTable_Text_IsAligned(t *testing.T) {
	packets := 2.04
	table := Table{
		Rows: []Row{
			{Transport: "SSE", IdleBytesPerMinute: 32, IdlePacketsPerMinute: &packets, BytesPerEvent: 136.4, Delay: "none"},
			{Transport: "short polling", IdleBytesPerMinute: 12345.6, Delay: "some"},
		},
		Assumptions: []string{"It is so."},
	}
	var out bytes.Buffer
	if err := table.Text(&out); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), "\n")
	if len(lines) != 7 || lines[5] != "- It is so." {
		t.Fatalf("got\n%s", out.String())
	}
	for line, want := range map[int]string{
		2: "SSE 32 2 unknown 136 unknown unknown 0 none",
		3: "short polling 12346 unknown unknown 0 unknown unknown 0 some",
	} {
		if got := strings.Join(strings.Fields(lines[line]), " "); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	if strings.Index(lines[2], "none") != strings.Index(lines[3], "some") {
		t.Errorf("the last column is not aligned:\n%s", out.String())
	}
}

func TestTable_JSON_HasNullForUnknown(t *testing.T) {
	text, err := json.Marshal(Table{Rows: []Row{{Transport: "SSE", IdleBytesPerMinute: 32}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"transport":"SSE"`, `"idle_bytes_per_minute":32`, `"idle_packets_per_minute":null`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%s is not in %s", want, text)
		}
	}
}
