package config

import (
	"net"
	"net/netip"
)

// DefaultAdminAddr is the address of admin.addr auto. It is not 9090, which Prometheus uses.
const DefaultAdminAddr = "127.0.0.1:8081"

// AdminAuto and AdminOff are the values of admin.addr that are not addresses. An empty value is off, too.
const (
	AdminAuto = "auto"
	AdminOff  = "off"
)

// Listen returns the address of admin.addr, empty for none. If optional, the node continues without it where it
// is in use. That applies to auto only: an operator relies on a configured address.
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
		p.add("admin.addr", "%s and http.addr (%s) are one address; choose another port, which clients cannot reach", addr, httpAddr)
	}
}

// collide reports whether one process cannot listen on both addresses, without resolving names.
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
