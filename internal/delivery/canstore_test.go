package delivery_test

import (
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/delivery"
)

func TestCanStore_Stream_OverlapsTheTemplate(t *testing.T) {
	own := func(from, to string) *jetstream.SubjectTransformConfig {
		config := transform(from, to)
		return &config
	}
	for name, c := range map[string]struct {
		stream   jetstream.StreamConfig
		template string
		want     bool
	}{
		"its subject":                {jetstream.StreamConfig{Subjects: []string{"n.>"}}, "n.user.{user}", true},
		"a single token":             {jetstream.StreamConfig{Subjects: []string{"n.user.*"}}, "n.user.{user}", true},
		"another subject":            {jetstream.StreamConfig{Subjects: []string{"other.>"}}, "n.user.{user}", false},
		"too many tokens":            {jetstream.StreamConfig{Subjects: []string{"n.*"}}, "n.user.{user}", false},
		"its name":                   {jetstream.StreamConfig{Name: "N"}, "N", true},
		"not its name":               {jetstream.StreamConfig{Name: "N"}, "n.user.{user}", false},
		"a transform to it":          {jetstream.StreamConfig{Subjects: []string{"orders.*"}, SubjectTransform: own("orders.*", "n.user.{{wildcard(1)}}")}, "n.user.{user}", true},
		"a transform of $1":          {jetstream.StreamConfig{Subjects: []string{"orders.*"}, SubjectTransform: own("orders.*", "n.user.$1")}, "n.user.{user}", true},
		"a transform away":           {jetstream.StreamConfig{Subjects: []string{"n.>"}, SubjectTransform: own(">", "copy.>")}, "n.user.{user}", false},
		"a transform of a part":      {jetstream.StreamConfig{Subjects: []string{"n.>"}, SubjectTransform: own("n.all", "copy.all")}, "n.user.{user}", true},
		"a transform of others":      {jetstream.StreamConfig{Subjects: []string{"o.>"}, SubjectTransform: own("x.*", "n.user.$1")}, "n.user.{user}", false},
		"a transform that splits":    {jetstream.StreamConfig{Subjects: []string{"o.*"}, SubjectTransform: own("o.*", "n.{{split(1,-)}}")}, "n.user.{user}", true},
		"a mirror":                   {jetstream.StreamConfig{Mirror: &jetstream.StreamSource{Name: "M"}}, "n.user.{user}", true},
		"a mirror of others":         {jetstream.StreamConfig{Mirror: &jetstream.StreamSource{Name: "M", FilterSubject: "o.>"}}, "n.user.{user}", false},
		"a source":                   {jetstream.StreamConfig{Subjects: []string{"o.>"}, Sources: []*jetstream.StreamSource{{Name: "M"}}}, "n.user.{user}", true},
		"a source of others":         {jetstream.StreamConfig{Sources: []*jetstream.StreamSource{{Name: "M", FilterSubject: "o.>"}}}, "n.user.{user}", false},
		"a source that transforms":   {jetstream.StreamConfig{Sources: []*jetstream.StreamSource{{Name: "M", SubjectTransforms: []jetstream.SubjectTransformConfig{transform("o.*", "n.user.{{wildcard(1)}}")}}}}, "n.user.{user}", true},
		"a source's transform away":  {jetstream.StreamConfig{Sources: []*jetstream.StreamSource{{Name: "M", SubjectTransforms: []jetstream.SubjectTransformConfig{transform("n.>", "o.>")}}}}, "n.user.{user}", false},
		"a source's transform alone": {jetstream.StreamConfig{Sources: []*jetstream.StreamSource{{Name: "M", SubjectTransforms: []jetstream.SubjectTransformConfig{transform("n.>", "")}}}}, "n.user.{user}", true},
	} {
		if got := delivery.CanStore(c.stream, templates(t, c.template)[0]); got != c.want {
			t.Errorf("%s: %t; the stream has %q", name, got, delivery.StoredFilters(c.stream))
		}
	}
}
