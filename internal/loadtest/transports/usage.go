package transports

// headerBytes are the headers of a segment: 20 of IPv4, 20 of TCP and 12 of its timestamps,
// which Linux, Android, macOS and iOS send.
const headerBytes = 52

// usage is the traffic in both directions together.
type usage struct {
	bytes    float64 // of HTTP and its content
	segments float64
	counted  bool // segments is known
}

func (u usage) minus(v usage) usage {
	return usage{u.bytes - v.bytes, u.segments - v.segments, u.counted && v.counted}
}

func (u usage) times(f float64) usage { return usage{u.bytes * f, u.segments * f, u.counted} }
func (u usage) per(n int) usage       { return u.times(1 / float64(n)) }

// packets is nil when unknown.
func (u usage) packets() *float64 {
	if !u.counted {
		return nil
	}
	return &u.segments
}

// wire is the bytes with the headers of their segments; nil when unknown.
func (u usage) wire() *float64 {
	if !u.counted {
		return nil
	}
	all := u.bytes + u.segments*headerBytes
	return &all
}
