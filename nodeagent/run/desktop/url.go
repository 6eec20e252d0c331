// Package desktop opens addresses and files on the screen of the person at the machine:
// desktop.open_url and desktop.open_path. Both are mediated.
package desktop

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/mooring-dev/mooring/nodeagent/run/mediation"
)

// maxURLBytes bounds a URL; it is more than the address bar of any browser shows at once.
const maxURLBytes = 2048

var (
	hostLabelPattern    = regexp.MustCompile(`^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$`)
	numericLabelPattern = regexp.MustCompile(`^(0x[0-9a-f]*|[0-9]+)$`)
	schemePattern       = regexp.MustCompile(`^[a-z][a-z0-9+.-]*$`)
)

// deniedSchemes are the schemes that run code or read files in a browser; no policy allows them.
var deniedSchemes = []string{"javascript", "vbscript", "data", "file", "blob", "about", "view-source", "jar", "ms-settings", "search-ms", "shell"}

// CanonicalURL parses an address once and returns it in the one form that is then checked, shown
// and opened. It rejects an address that two programs could read in two ways.
func CanonicalURL(text string, rules mediation.URLRules) (string, error) {
	if err := checkCharacters(text); err != nil {
		return "", err
	}
	u, err := url.Parse(text)
	if err != nil {
		return "", errors.New("it is not a URL")
	}
	u.Scheme, u.Host = strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	if err := checkScheme(u.Scheme, rules.Schemes); err != nil {
		return "", err
	}
	if u.User != nil {
		return "", errors.New("it holds a user name or a password, which can look like a host")
	}
	if u.Opaque != "" || u.Host == "" {
		return "", errors.New("it has no host: write " + u.Scheme + "://HOST/PATH")
	}
	if err := checkPort(u); err != nil {
		return "", err
	}
	if err := checkHost(u.Hostname(), rules); err != nil {
		return "", err
	}
	if u.Path == "" {
		u.Path = "/" // patterns of hosts then end at a slash
	}
	return u.String(), nil
}

// checkCharacters accepts only the characters that RFC 3986 allows in a URL.
func checkCharacters(text string) error {
	switch {
	case text == "" || len(text) > maxURLBytes:
		return fmt.Errorf("a URL has 1 to %d bytes", maxURLBytes)
	case strings.HasPrefix(text, "-"):
		return errors.New("it begins with a dash")
	}
	for _, r := range text {
		switch {
		case r <= ' ' || r == 0x7f:
			return errors.New("it holds a space or a control character; write it percent-encoded")
		case r > 0x7f:
			return errors.New("it holds characters outside ASCII; write paths percent-encoded and hosts in their xn-- form")
		case strings.ContainsRune("\\\"<>^`{|}", r):
			return fmt.Errorf("it holds %q, which cannot stand in a URL; write it percent-encoded", r)
		}
	}
	return nil
}

func checkScheme(name string, allowed []string) error {
	if len(allowed) == 0 {
		allowed = []string{"https"}
	}
	switch {
	case !schemePattern.MatchString(name):
		return errors.New("it has no scheme such as https://")
	case slices.Contains(deniedSchemes, name):
		return fmt.Errorf("scheme %s is never opened", name)
	case !slices.Contains(allowed, name):
		return fmt.Errorf("scheme %s is not allowed on this machine, only: %s", name, strings.Join(allowed, ", "))
	}
	return nil
}

func checkPort(u *url.URL) error {
	port := u.Port()
	if port == "" {
		if strings.HasSuffix(u.Host, ":") {
			return errors.New("its port is empty")
		}
		return nil
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || port[0] == '0' {
		return fmt.Errorf("%s is not a port", port)
	}
	return nil
}

// checkHost accepts a DNS name or an address in its usual form, if the lists allow it.
func checkHost(host string, rules mediation.URLRules) error {
	labels := strings.Split(host, ".")
	_, err := netip.ParseAddr(host)
	switch {
	case strings.Contains(host, "%"):
		return errors.New("its host is percent-encoded or has a zone")
	case err == nil:
	case len(host) > 253 || slices.ContainsFunc(labels, func(l string) bool { return !hostLabelPattern.MatchString(l) }):
		return fmt.Errorf("%s is not a host name", host)
	case numericLabelPattern.MatchString(labels[len(labels)-1]):
		return fmt.Errorf("%s could be read as another address; write it as four decimal numbers", host)
	}
	if matchesHost(host, rules.DenyHosts) {
		return fmt.Errorf("host %s is refused on this machine", host)
	}
	if len(rules.Hosts) > 0 && !matchesHost(host, rules.Hosts) {
		return fmt.Errorf("host %s is not one of those this machine may open", host)
	}
	return nil
}

func matchesHost(host string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		pattern = strings.ToLower(pattern)
		if parent, below := strings.CutPrefix(pattern, "*."); below {
			return strings.HasSuffix(host, "."+parent)
		}
		return host == pattern
	})
}
