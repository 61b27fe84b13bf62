package doctor

import (
	"slices"
	"time"
)

// noticeable is the smallest offset of clocks that affects the times of events and the age of tokens.
const noticeable = time.Second

// checkClock compares this clock with the clock of the server with the fastest response.
func (d *doctor) checkClock(answers []streamAnswer) []Finding {
	c := &check{name: "clock"}
	answers = slices.DeleteFunc(answers, func(a streamAnswer) bool { return a.info == nil || a.info.TimeStamp.IsZero() })
	if len(answers) == 0 {
		c.skip("no NATS server reported its time")
		return c.found
	}
	best := slices.MinFunc(answers, func(a, b streamAnswer) int { return int(a.within - b.within) })
	d.compareClock(c, "the NATS server", best.offset, best.within)
	return c.found
}

// compareClock reports an offset with the accuracy within.
func (d *doctor) compareClock(c *check, other string, offset, within time.Duration) {
	least := max(offset.Abs()-within, 0)
	direction := "ahead of"
	if offset < 0 {
		direction = "behind"
	}
	offset, within = offset.Abs().Round(time.Millisecond), max(within.Round(time.Millisecond), time.Millisecond)
	const synchronise = "synchronise the clocks of both machines (NTP)"
	switch {
	case d.JWT != nil && least > d.Config.Auth.JWT.Leeway:
		c.problem(synchronise, "%s is %s ± %s %s this machine: more than auth.jwt.leeway, %s", other, offset, within, direction, d.Config.Auth.JWT.Leeway)
	case least > noticeable:
		c.warn(synchronise, "%s is %s ± %s %s this machine", other, offset, within, direction)
	default:
		c.ok("%s differs by %s ± %s", other, offset, within)
	}
}
