package testcluster

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// Nginx is the proxy for clients.
type Nginx struct {
	*Process
	URL      string // http://
	TLSURL   string // https://, with HTTP/2
	CertFile string // the self-signed certificate of TLSURL, PEM
}

func (t *Topology) addNginx(ctx context.Context) error {
	ports := []int{t.opts.Ports.HTTP, t.opts.Ports.HTTPS}
	for i := range ports {
		one, err := series(ports[i], 1)
		if err != nil {
			return err
		}
		ports[i] = one[0]
	}
	dir := filepath.Join(t.opts.Dir, "nginx")
	cert, key, err := certificate(dir)
	if err != nil {
		return err
	}
	version, err := nginxVersion(ctx, t.opts.Binaries.Nginx)
	if err != nil {
		return err
	}
	front := t.front(ports[0], ports[1], version)
	front["FRONT_CERT"], front["FRONT_KEY"] = cert, key
	if err := renderNginx(filepath.Join(t.opts.Root, "config/nginx"), dir, front); err != nil {
		return err
	}
	t.Nginx = &Nginx{
		Process: t.process("nginx", t.opts.Binaries.Nginx, NginxArgs(dir)...),
		URL:     "http://" + local(ports[0]), TLSURL: "https://" + local(ports[1]), CertFile: cert,
	}
	t.Nginx.workers = true
	return nil
}

// NginxArgs returns the arguments for nginx with the files rendered below dir.
func NginxArgs(dir string) []string {
	global := "daemon off;"
	if os.Getuid() == 0 {
		// With the default user, nginx could not read directories of root.
		global += " user root;"
	}
	return []string{"-p", dir, "-c", filepath.Join(dir, "nginx.conf"), "-e", "stderr", "-g", global}
}

// front contains the variables of the site, except the certificate.
func (t *Topology) front(http, https int, version [3]int) map[string]string {
	var servers strings.Builder
	for _, n := range t.Nodes {
		u, _ := url.Parse(n.URL)
		fmt.Fprintf(&servers, "server %s max_fails=0;\n    ", u.Host)
	}
	vars := map[string]string{
		"FRONT_HTTP": local(http), "FRONT_HTTPS": local(https) + " ssl", "FRONT_HTTP2": "http2 on;",
		"FRONT_SERVERS": strings.TrimSpace(servers.String()), "FRONT_RESOLVER": "",
		"FRONT_LOGIN": cmp.Or(t.opts.NginxLogin, "include try-user.conf;"),
	}
	if older(version, [3]int{1, 25, 1}) {
		vars["FRONT_HTTPS"], vars["FRONT_HTTP2"] = local(https)+" ssl http2", ""
	}
	return vars
}

func older(version, than [3]int) bool {
	for i := range version {
		if version[i] != than[i] {
			return version[i] < than[i]
		}
	}
	return false
}

var versionLine = regexp.MustCompile(`nginx/(\d+)\.(\d+)\.(\d+)`)

func nginxVersion(ctx context.Context, path string) (version [3]int, err error) {
	out, err := exec.CommandContext(ctx, path, "-v").CombinedOutput()
	if err != nil {
		return version, fmt.Errorf("%s -v: %w", path, err)
	}
	found := versionLine.FindSubmatch(out)
	if found == nil {
		return version, fmt.Errorf("%s -v printed no version: %s", path, out)
	}
	for i := range version {
		version[i], _ = strconv.Atoi(string(found[i+1]))
	}
	return version, nil
}

// nginxFiles are used unchanged. The site includes all except the first.
var nginxFiles = []string{"nginx.conf", "proxy-headers.conf", "try-user.conf"}

// renderNginx renders the files for plain processes, as the official image does for a container: the site
// from its template, and the other files unchanged.
func renderNginx(from, to string, vars map[string]string) error {
	if err := os.MkdirAll(filepath.Join(to, "conf.d"), 0o750); err != nil {
		return err
	}
	for _, name := range nginxFiles {
		content, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, name), content, 0o600); err != nil {
			return err
		}
	}
	site, err := os.ReadFile(filepath.Join(from, "tidemark.conf.template"))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(to, "conf.d/tidemark.conf"), substitute(site, vars), 0o600)
}

var variable = regexp.MustCompile(`\$\{FRONT_[A-Z0-9]+\}`)

func substitute(template []byte, vars map[string]string) []byte {
	return variable.ReplaceAllFunc(template, func(found []byte) []byte {
		value, ok := vars[string(found[2:len(found)-1])]
		if !ok {
			return found // like envsubst, so that nginx reports an unset variable
		}
		return []byte(value)
	})
}
