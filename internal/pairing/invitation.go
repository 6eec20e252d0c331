package pairing

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

const (
	uriScheme = "mooring"
	uriHost   = "pair"
	pinPrefix = "sha256:"

	// maxURILength bounds the input of ParseURI, in bytes.
	maxURILength = 1024
)

// ErrInvalidURI is wrapped by every error of ParseURI.
var ErrInvalidURI = errors.New("invalid pairing URI")

// Invitation is the content of a QR code:
//
//	mooring://pair?gateway=host:port&code=K7QX2M&secret=<32 hex>&ca=sha256:<64 hex>
type Invitation struct {
	// Gateway is the host:port of the pairing listener.
	Gateway string
	// LookupID identifies the code's record, as in Code.
	LookupID string
	// Secret is the 128-bit secret in lower-case hex.
	Secret string
	// CASHA256 is the SPKI pin of the server CA: its SHA-256 in lower-case hex. That CA is the only
	// root that the agent accepts.
	CASHA256 string
}

// ParseURI reads a pairing URI. Unlike ParseCode it is strict, because no person types a URI: it
// requires each of the four parameters exactly once and permits no other. Its errors wrap
// ErrInvalidURI and never repeat the secret.
func ParseURI(s string) (Invitation, error) {
	if len(s) > maxURILength {
		return Invitation{}, fmt.Errorf("%w: longer than %d bytes", ErrInvalidURI, maxURILength)
	}
	u, err := url.Parse(s)
	if err != nil {
		// The cause quotes the whole input with the secret, so it is not wrapped.
		return Invitation{}, fmt.Errorf("%w: not a URI", ErrInvalidURI)
	}
	if u.Scheme != uriScheme || u.Host != uriHost || u.User != nil || u.Path != "" || u.Opaque != "" || strings.Contains(s, "#") {
		return Invitation{}, fmt.Errorf("%w: it must begin with %s://%s?", ErrInvalidURI, uriScheme, uriHost)
	}
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return Invitation{}, fmt.Errorf("%w: malformed parameters", ErrInvalidURI)
	}
	for name := range values {
		switch name {
		case "gateway", "code", "secret", "ca":
		default:
			return Invitation{}, fmt.Errorf("%w: unknown parameter %q; a newer agent may know it", ErrInvalidURI, name)
		}
	}
	return parseInvitation(values)
}

// parseInvitation checks the four parameters and returns their Invitation.
func parseInvitation(values url.Values) (Invitation, error) {
	for _, name := range []string{"gateway", "code", "secret", "ca"} {
		if len(values[name]) != 1 {
			return Invitation{}, fmt.Errorf("%w: parameter %q must be given exactly once", ErrInvalidURI, name)
		}
	}
	ca, pinned := strings.CutPrefix(values.Get("ca"), pinPrefix)
	inv := Invitation{Gateway: values.Get("gateway"), LookupID: values.Get("code"), Secret: values.Get("secret"), CASHA256: ca}
	if err := CheckEndpoint(inv.Gateway); err != nil {
		return Invitation{}, fmt.Errorf("%w: gateway: %w", ErrInvalidURI, err)
	}
	if err := CheckLookupID(inv.LookupID); err != nil {
		return Invitation{}, fmt.Errorf("%w: code: %w", ErrInvalidURI, err)
	}
	if len(inv.Secret) != QRSecretLength || !containsOnly(inv.Secret, "0123456789abcdef") {
		return Invitation{}, fmt.Errorf("%w: secret must be %d lower-case hex digits", ErrInvalidURI, QRSecretLength)
	}
	if !pinned || !isSHA256(inv.CASHA256) {
		return Invitation{}, fmt.Errorf("%w: ca must be sha256: and 64 lower-case hex digits", ErrInvalidURI)
	}
	return inv, nil
}

// String returns the URI with its secret in canonical form: ParseURI of it returns the same
// Invitation.
func (i Invitation) String() string {
	// A colon needs no escape in a query, and people read these URIs.
	gateway := strings.ReplaceAll(url.QueryEscape(i.Gateway), "%3A", ":")
	return uriScheme + "://" + uriHost + "?gateway=" + gateway + "&code=" + url.QueryEscape(i.LookupID) +
		"&secret=" + url.QueryEscape(i.Secret) + "&ca=" + pinPrefix + url.QueryEscape(i.CASHA256)
}

// LogValue returns the lookup id and the gateway, to keep the secret out of structured logs.
func (i Invitation) LogValue() slog.Value {
	return slog.StringValue(i.LookupID + " at " + i.Gateway)
}

// CheckEndpoint returns an error unless endpoint is a host:port to dial. The host must be a DNS
// name, an IPv4 address or an IPv6 address in brackets (no zone), and the port must be 1 to 65535.
func CheckEndpoint(endpoint string) error {
	host, port, err := net.SplitHostPort(endpoint)
	if err != nil {
		return fmt.Errorf("%q is not host:port", endpoint)
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 || port[0] == '0' || port[0] == '+' {
		return fmt.Errorf("port %q is not a number from 1 to 65535", port)
	}
	addr, err := netip.ParseAddr(host)
	bracketed := strings.HasPrefix(endpoint, "[")
	if err == nil && addr.Zone() == "" && addr.Is6() == bracketed {
		return nil
	}
	if err == nil || bracketed || !isDNSName(host) {
		return fmt.Errorf("host %q is neither a DNS name nor an IP address", host)
	}
	return nil
}

// isDNSName reports whether host consists of letters, digits, inner dashes and dots, in either
// case.
func isDNSName(host string) bool {
	if len(host) > 253 {
		return false
	}
	for label := range strings.SplitSeq(strings.ToLower(host), ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' ||
			!containsOnly(label, "abcdefghijklmnopqrstuvwxyz0123456789-") {
			return false
		}
	}
	return true
}
