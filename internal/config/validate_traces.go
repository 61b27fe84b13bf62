package config

import "net/url"

// maxTraces bounds what a node holds of deliveries that are not at their end, some 2 KiB each for
// six seconds.
const maxTraces = 10_000

func (t Traces) validate(p *problems) {
	if t.Rate < 1 || t.Rate > maxTraces {
		p.add("traces.rate", "%d is not a number from 1 to %d of traces a second", t.Rate, maxTraces)
	}
	if t.Endpoint == "" {
		return
	}
	u, err := url.Parse(t.Endpoint)
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Host == "", u.Path == "", u.Path == "/":
		p.add("traces.endpoint", "is not the URL of a collector with its path; write one such as http://127.0.0.1:4318/v1/traces")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		p.add("traces.endpoint", "a user, a query or a fragment would not be sent; put credentials into a header by the variable OTEL_EXPORTER_OTLP_HEADERS")
	}
}
