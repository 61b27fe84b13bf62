package doctor

import (
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/config"
	"github.com/tidemark/tidemark/pkg/auth"
)

// A slow response has a low accuracy.
func TestCompareClock_Offset_CountsBeyondWhatIsKnown(t *testing.T) {
	for name, c := range map[string]struct {
		offset, within time.Duration
		tokens         bool
		want           Status
	}{
		"equal":                {0, time.Millisecond, true, OK},
		"a little":             {900 * time.Millisecond, 0, true, OK},
		"two seconds":          {-2 * time.Second, 10 * time.Millisecond, true, Warning},
		"slow answer":          {2 * time.Second, 3 * time.Second, true, OK},
		"beyond the leeway":    {-time.Minute, time.Second, true, Problem},
		"a minute, no tokens":  {time.Minute, time.Second, false, Warning},
		"half within the time": {31 * time.Second, 2 * time.Second, true, Warning},
	} {
		d := &doctor{Options: Options{Config: config.Default()}}
		if c.tokens {
			d.JWT = new(auth.JWTOptions)
		}
		found := &check{name: "clock"}
		d.compareClock(found, "the server", c.offset, c.within)
		if len(found.found) != 1 || found.found[0].Status != c.want || (c.want == OK) != (found.found[0].Change == "") {
			t.Errorf("%s: %+v, want %s", name, found.found, c.want)
		}
	}
}
