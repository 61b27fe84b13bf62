package report

import (
	"bytes"
	_ "embed"
	"html/template"
	"io"

	"github.com/tidemark/tidemark/internal/loadtest"
)

//go:embed page.gohtml
var pageSource string

var pageTemplate = template.Must(template.New("page").Parse(pageSource))

// page is the input of the template.
type page struct {
	Scenario, URL, Started string
	Verdict                verdict
	First                  []string
	Cards                  []row
	Figures                []figure
	Sections               []section
}

// HTML writes r as a self-contained page: no scripts, nothing to load, light and dark. It is written
// at once, so that a failure leaves no partial page. The error is that of w.
func HTML(w io.Writer, r loadtest.Result) error {
	p := page{
		Scenario: plain(r.Scenario), URL: plain(r.URL),
		Verdict: newVerdict(r), Cards: cards(r), Figures: figures(r), Sections: sections(r),
	}
	if !r.Started.IsZero() {
		p.Started = r.Started.Format("2 January 2006, 15:04 MST")
	}
	for _, v := range r.Verdict.First {
		p.First = append(p.First, plain(v))
	}
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, p); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}

// cards are the most important values.
func cards(r loadtest.Result) []row {
	delivered, took, since := deliveries(r)
	if since != "" {
		since = ", " + since
	}
	all := []row{
		{Label: "Deliveries", Value: delivered, Note: count(r.Verdict.Delivered) + " in " + duration(took) + since},
		{Label: "Connections", Value: count(r.Connect.Opened), Note: rate(r.Connect.PerSecond) + " opened"},
	}
	if r.CaughtUp > 0 {
		all = append(all, row{Label: "Until caught up", Value: duration(r.CaughtUp), Note: "from the reconnects to the last client"})
	}
	all = append(all, latencyCards(r.Latency)...)
	for _, u := range r.Servers {
		all = append(all,
			row{Label: "Server CPU", Value: duration(u.CPUPerDelivery), Note: "a delivery, " + processName(u)},
			row{Label: "Server memory", Value: size(u.PerConn), Note: "a connection, " + processName(u)})
	}
	return all
}

func latencyCards(l loadtest.Latency) []row {
	if l.Count == 0 {
		return nil
	}
	var all []row
	for _, m := range marks(l) {
		if m.name != "max" {
			all = append(all, row{Label: "Latency " + m.name, Value: duration(m.at), Note: "of " + count(l.Count) + " deliveries"})
		}
	}
	return append(all, row{Label: "Latency max", Value: duration(l.Max), Note: "mean " + duration(l.Mean)})
}
