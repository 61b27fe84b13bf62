package config

import (
	"net"
	"net/netip"
)

// DefaultAdminAddr is where operators connect to a node with admin.addr auto. Not 9090, which is
// Prometheus's own.
const DefaultAdminAddr = "127.0.0.1:8081"

// AdminAuto and AdminOff are values of admin.addr beside addresses. An empty one is off, too.
const (
	AdminAuto = "auto"
	AdminOff  = "off"
)

// Listen is the address of admin.addr, empty for none, and whether the node goes on without it
// where it is taken. That holds for auto alone: who names an address relies on it.
func (a Admin) Listen() (addr string, optional bool) {
	switch a.Addr {
	case "", AdminOff:
		return "", false
	case AdminAuto:
		return DefaultAdminAddr, true
	}
	return a.Addr, false
}

func (a Admin) validate(httpAddr string, p *problems) {
	addr, optional := a.Listen()
	if addr == "" || optional {
		return
	}
	if !isAddr(addr) {
		p.add("admin.addr", "%q is not an address; write host:port with a port from 0 to 65535, such as %s, or auto, or off", addr, DefaultAdminAddr)
		return
	}
	if collide(addr, httpAddr) {
		p.add("admin.addr", "%s and http.addr (%s) are one address; choose another port, which clients do not reach", addr, httpAddr)
	}
}

// collide reports whether two addresses cannot be listened on at the same time, as far as that can
// be told without looking names up.
func collide(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil || portA != portB || portA == "0" {
		return false
	}
	return hostA == hostB || everywhere(hostA) || everywhere(hostB)
}

func everywhere(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "" || err == nil && addr.IsUnspecified()
}
