package feedhttp_test

import (
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/feedhttp"
)

const ceJSON, ceBatch = "application/cloudevents+json; charset=UTF-8", "application/cloudevents-batch+json"

// ce returns a CloudEvent with some members more.
func ce(more string) string {
	return `{"specversion":"1.0","id":"7","source":"/orders","type":"order.made","subject":"n.a"` + more + `}`
}

// ceMessage returns the message of ce, with the id of anonymous publishers and some headers more.
func ceMessage(data string, header ...string) feed.Message {
	m := feed.Message{
		Subject: "n.a", Type: "order.made", Data: []byte(data), ID: feedhttp.ScopedID("", "", "n.a", feedhttp.ScopedID("cloudevent", "/orders", "7")),
		Header: map[string]string{"ce-specversion": "1.0", "ce-id": "7", "ce-source": "/orders", "ce-type": "order.made", "ce-subject": "n.a"},
	}
	for i := 0; i+1 < len(header); i += 2 {
		m.Header[header[i]] = header[i+1]
	}
	return m
}

func TestCloudEvent_JSON_BecomesMessage(t *testing.T) {
	for name, c := range map[string]struct {
		body string
		want feed.Message
	}{
		"JSON":               {ce(`,"data":{"a": [1]}`), ceMessage(`{"a":[1]}`)},
		"JSON string":        {ce(`,"data":"hi"`), ceMessage(`"hi"`)},
		"JSON of a kind":     {ce(`,"data":"hi","datacontenttype":"application/x+json"`), ceMessage(`"hi"`, "Content-Type", "application/x+json")},
		"text":               {ce(`,"datacontenttype":"text/plain","data":"hi"`), ceMessage(`hi`)},
		"text of a kind":     {ce(`,"datacontenttype":"text/csv","data":"a,b"`), ceMessage(`a,b`, "Content-Type", "text/csv")},
		"object, not JSON":   {ce(`,"datacontenttype":"text/csv","data":{"a":1}`), ceMessage(`{"a":1}`, "Content-Type", "text/csv")},
		"bytes":              {ce(`,"data_base64":"/wA="`), ceMessage("\xff\x00")},
		"no data":            {ce(``), ceMessage(``)},
		"extensions":         {ce(`,"data":1,"a":"é","b":true,"c":-5,"d":null`), ceMessage(`1`, "ce-a", "é", "ce-b", "true", "ce-c", "-5")},
		"time and schema":    {ce(`,"data":1,"time":"2026-11-27T10:00:00.5Z","dataschema":"http://x/y"`), ceMessage(`1`, "ce-time", "2026-11-27T10:00:00.5Z", "ce-dataschema", "http://x/y")},
		"names of NATS":      {ce(`,"data":1,"natsrollup":"all"`), ceMessage(`1`, "ce-natsrollup", "all")},
		"surrounding spaces": {" \n" + ce(`,"data":1`) + "\n", ceMessage(`1`)},
	} {
		d := newDesk(t, publishing, feedhttp.PublishOptions{})
		resp, text := d.post(t, c.body, "Content-Type", ceJSON)
		got := d.taken()
		if len(got) == 1 && len(got[0].Data) == 0 {
			got[0].Data = []byte{}
		}
		if resp.StatusCode != http.StatusOK || !reflect.DeepEqual(got, []feed.Message{c.want}) {
			t.Errorf("%s: %s %s\n%+v, want\n%+v", name, resp.Status, text, got, c.want)
		}
	}
}

func TestCloudEvent_TypeOfEventsWithoutOne_IsNone(t *testing.T) {
	d := newDesk(t, publishing, feedhttp.PublishOptions{})
	d.post(t, strings.Replace(ce(""), "order.made", "message", 1), "Content-Type", ceJSON)
	d.post(t, `1`, "ce-specversion", "1.0", "ce-id", "7", "ce-source", "/orders", "ce-subject", "n.a", "ce-type", "message")
	msgs := d.taken()
	if len(msgs) != 2 || msgs[0].Type != "" || msgs[1].Type != "" {
		t.Errorf("%+v", msgs)
	}
}

func TestCloudEvent_Batch_IsStoredInOrder(t *testing.T) {
	d := newDesk(t, publishing, feedhttp.PublishOptions{})
	resp, text := d.post(t, `[`+ce(`,"data":1`)+`,`+ce(`,"data":2`)+`]`, "Content-Type", ceBatch)
	if got := d.taken(); resp.StatusCode != http.StatusOK || !reflect.DeepEqual(got, []feed.Message{ceMessage(`1`), ceMessage(`2`)}) || !strings.HasPrefix(text, "[") {
		t.Errorf("%s %s: %+v", resp.Status, text, got)
	}
}

// The SDKs send binary mode by default.
func TestCloudEvent_BinaryModeAtPublish_HasSubjectOfItsHeader(t *testing.T) {
	d := newDesk(t, publishing, feedhttp.PublishOptions{})
	header := []string{"ce-specversion", "1.0", "ce-id", "7", "ce-source", "/orders", "ce-type", "order.made", "ce-subject", "n.a", "Content-Type", "application/json"}
	resp, text := d.post(t, `{"a": 1}`, header...)
	if got := d.taken(); resp.StatusCode != http.StatusOK || !reflect.DeepEqual(got, []feed.Message{ceMessage(`{"a": 1}`, "Content-Type", "application/json")}) {
		t.Errorf("%s %s: %+v", resp.Status, text, got)
	}
	if resp, text := d.post(t, ``, header...); resp.StatusCode != http.StatusOK || len(d.taken()) != 1 {
		t.Errorf("without data: %s %s", resp.Status, text)
	}
	for i := 0; i < 10; i += 2 {
		missing := append(append([]string{}, header[:i]...), header[i+2:]...)
		if resp, text := d.post(t, `{}`, missing...); resp.StatusCode != http.StatusBadRequest || len(d.taken()) > 0 {
			t.Errorf("without %s: %s %s", header[i], resp.Status, text)
		}
	}
}

func TestCloudEvent_EndInQuery_CompletesTheSubject(t *testing.T) {
	d := newDesk(t, publishing, feedhttp.PublishOptions{})
	d.URL += "/?end=1"
	d.post(t, ce(""), "Content-Type", ceJSON)
	if msgs := d.taken(); len(msgs) != 1 || !msgs[0].End {
		t.Errorf("%+v", msgs)
	}
	if resp, _ := d.post(t, `[`+ce("")+`]`, "Content-Type", ceBatch); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("a batch: %s", resp.Status)
	}
}

func TestCloudEvent_Invalid_StoresNothing(t *testing.T) {
	without := func(member string) string { return strings.Replace(ce(""), member, `"x":"y"`, 1) }
	for name, c := range map[string]struct{ content, body, field, says string }{
		"no version":           {ceJSON, without(`"specversion":"1.0"`), "specversion", "1.0"},
		"old version":          {ceJSON, strings.Replace(ce(""), "1.0", "0.3", 1), "specversion", "0.3"},
		"no id":                {ceJSON, without(`"id":"7"`), "id", "missing"},
		"empty id":             {ceJSON, strings.Replace(ce(""), `"7"`, `""`, 1), "id", "missing"},
		"null id":              {ceJSON, strings.Replace(ce(""), `"7"`, `null`, 1), "id", "missing"},
		"long id":              {ceJSON, strings.Replace(ce(""), `"7"`, `"`+strings.Repeat("7", 257)+`"`, 1), "id", "256"},
		"no source":            {ceJSON, without(`"source":"/orders"`), "source", "missing"},
		"source not a URI":     {ceJSON, strings.Replace(ce(""), "/orders", "http://[x", 1), "source", "URI"},
		"no type":              {ceJSON, without(`"type":"order.made"`), "type", "missing"},
		"reserved type":        {ceJSON, strings.Replace(ce(""), "order.made", "tidemark.close", 1), "type", "reserved"},
		"lines in a type":      {ceJSON, strings.Replace(ce(""), "order.made", `a\r\nNats-Rollup: all`, 1), "type", "control"},
		"no subject":           {ceJSON, without(`"subject":"n.a"`), "subject", "missing"},
		"wildcard":             {ceJSON, strings.Replace(ce(""), "n.a", "n.*", 1), "subject", "wildcard"},
		"reserved subject":     {ceJSON, strings.Replace(ce(""), "n.a", "tidemark.revoke", 1), "subject", "reserved"},
		"subject of NATS":      {ceJSON, strings.Replace(ce(""), "n.a", "$JS.API.INFO", 1), "subject", "reserved"},
		"lines in a subject":   {ceJSON, strings.Replace(ce(""), "n.a", `n.a\r\nPUB x`, 1), "subject", "control"},
		"half of a pair":       {ceJSON, strings.Replace(ce(""), "n.a", `n.\ud800`, 1), "subject", "Unicode"},
		"subject twice":        {ceJSON, ce(`,"subject":"n.b"`), "subject", "twice"},
		"subject in capitals":  {ceJSON, ce(`,"Subject":"n.b"`), "Subject", "not an attribute"},
		"empty name":           {ceJSON, ce(`,"":"x"`), "", "not an attribute"},
		"NUL in an attribute":  {ceJSON, ce(`,"x":"\u0000"`), "x", "control"},
		"lines in an id":       {ceJSON, strings.Replace(ce(""), `"7"`, `"a\nb"`, 1), "id", "control"},
		"number as id":         {ceJSON, strings.Replace(ce(""), `"7"`, `7`, 1), "id", "must be a string"},
		"object as attribute":  {ceJSON, ce(`,"x":{}`), "x", "must be a string"},
		"fraction":             {ceJSON, ce(`,"x":1.5`), "x", "integer"},
		"no time":              {ceJSON, ce(`,"time":"yesterday"`), "time", "RFC 3339"},
		"content type":         {ceJSON, ce(`,"datacontenttype":"a/b\r\nc"`), "datacontenttype", "control"},
		"both kinds of data":   {ceJSON, ce(`,"data":1,"data_base64":"AA=="`), "data_base64", "place of data"},
		"not base64":           {ceJSON, ce(`,"data_base64":"?"`), "data_base64", "base64"},
		"bytes not a string":   {ceJSON, ce(`,"data_base64":5`), "data_base64", "number"},
		"batch as one":         {ceJSON, `[` + ce("") + `]`, "", ceBatch},
		"one as a batch":       {ceBatch, ce(""), "", "application/cloudevents+json"},
		"empty batch":          {ceBatch, `[]`, "", "no event"},
		"null in a batch":      {ceBatch, `[` + ce("") + `,null]`, "", "JSON object"},
		"batch too long":       {ceBatch, `[` + strings.Repeat(ce("")+`,`, 3) + ce("") + `]`, "", "at most 3"},
		"last of a batch":      {ceBatch, `[` + ce("") + `,` + without(`"id":"7"`) + `]`, "[1].id", "missing"},
		"undeliverable":        {ceJSON, strings.Replace(ce(""), "n.a", "m.a", 1), "subject", "n."},
		"two events":           {ceJSON, ce("") + ce(""), "", "more data"},
		"not JSON":             {ceJSON, `{"specversion"`, "", "JSON"},
		"empty":                {ceJSON, ` `, "", "empty"},
		"event of this server": {ceJSON, `{"subject":"n.a","data":1}`, "specversion", "1.0"},
	} {
		d := newDesk(t, publishing, feedhttp.PublishOptions{Accept: below("n."), MaxBatch: 3})
		resp, text := d.post(t, c.body, "Content-Type", c.content)
		p := decodeProblem(t, resp, text)
		if p.Field != c.field || !strings.Contains(p.Detail, c.says) || p.Status/100 != 4 {
			t.Errorf("%s: %+v; want %q for %q", name, p, c.says, c.field)
		}
		if msgs := d.taken(); len(msgs) > 0 {
			t.Errorf("%s: stored %+v", name, msgs)
		}
	}
}
