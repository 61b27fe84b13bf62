package config

import "net/netip"

func (l Limits) validate(maxBatch int, p *problems) {
	atLeast(p, "limits.streams", l.Streams, 0)
	atLeast(p, "limits.per_user", l.PerUser, 0)
	atLeast(p, "limits.per_address", l.PerAddress, 0)
	atLeast(p, "limits.replays", l.Replays, 0)
	atLeast(p, "limits.connects_per_second", l.ConnectsPerSecond, 0)
	if l.ConnectsPerSecond > 0 {
		atLeast(p, "limits.connects_burst", l.ConnectsBurst, 1)
	}
	atLeast(p, "limits.publishes_per_second", l.PublishesPerSecond, 0)
	if l.PublishesPerSecond > 0 && l.PublishesBurst < max(maxBatch, 1) {
		p.add("limits.publishes_burst", "%d is less than the %d events of publish.max_batch; raise it, or lower that", l.PublishesBurst, max(maxBatch, 1))
	}
}

// checkNetwork takes a CIDR, or an address for the one that it is.
func checkNetwork(p *problems, key, text string) {
	if _, err := ParseNetwork(text); err != nil {
		p.add(key, "%q is not a network; write addresses and CIDRs, such as 10.0.0.0/8, 192.0.2.7 or fd00::/8", text)
	}
}

// ParseNetwork reads a CIDR such as 10.0.0.0/8, or an address, which is a network of one.
func ParseNetwork(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(addr.WithZone(""), addr.BitLen()), nil
	}
	return netip.ParsePrefix(text)
}
