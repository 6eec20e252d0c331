package identity

import (
	"errors"
	"fmt"
	"strings"

	"github.com/mooring-dev/mooring/internal/foreign"
)

const (
	scheme = "spiffe://"

	maxLabelLength       = 63
	maxTrustDomainLength = 255
	maxIDLength          = len(scheme) + maxTrustDomainLength + len("/ns//node/") + 2*maxLabelLength
)

// ErrInvalidID is wrapped by every error of ParseID and ID.Validate.
var ErrInvalidID = errors.New("invalid node identity")

// ID identifies a Node; it is the only URI SAN of the Node's certificate.
type ID struct {
	// TrustDomain is the installation: lower-case DNS labels joined by dots, at most 255 bytes.
	TrustDomain string
	// Namespace is the fleet and Node the Node in it: DNS labels (RFC 1123), at most 63 bytes.
	Namespace string
	Node      string
}

// URI returns spiffe://<trust domain>/ns/<namespace>/node/<node>. The result is only meaningful for
// a valid ID.
func (id ID) URI() string {
	return scheme + id.TrustDomain + "/ns/" + id.Namespace + "/node/" + id.Node
}

// String returns the URI.
func (id ID) String() string { return id.URI() }

// Validate returns an error for an ID whose URI ParseID would reject or change.
func (id ID) Validate() error {
	if !isTrustDomain(id.TrustDomain) {
		return fmt.Errorf("%w: trust domain %q is not made of lower-case DNS labels", ErrInvalidID, truncate(id.TrustDomain))
	}
	if !IsLabel(id.Namespace) {
		return fmt.Errorf("%w: namespace %q is not a DNS label", ErrInvalidID, truncate(id.Namespace))
	}
	if !IsLabel(id.Node) {
		return fmt.Errorf("%w: node name %q is not a DNS label", ErrInvalidID, truncate(id.Node))
	}
	return nil
}

// ParseID reads a URI byte by byte, without the tolerance of a URI parser. It permits no escapes,
// ports, user names, queries, fragments, empty segments or upper-case letters, so an ID has exactly
// one spelling.
func ParseID(uri string) (ID, error) {
	if len(uri) > maxIDLength {
		return ID{}, fmt.Errorf("%w: longer than %d bytes", ErrInvalidID, maxIDLength)
	}
	rest, ok := strings.CutPrefix(uri, scheme)
	parts := strings.Split(rest, "/")
	if !ok || len(parts) != 5 || parts[1] != "ns" || parts[3] != "node" {
		return ID{}, fmt.Errorf("%w: %q is not spiffe://<trust domain>/ns/<namespace>/node/<name>", ErrInvalidID, uri)
	}
	id := ID{TrustDomain: parts[0], Namespace: parts[2], Node: parts[4]}
	if err := id.Validate(); err != nil {
		return ID{}, err
	}
	return id, nil
}

func isTrustDomain(s string) bool {
	if len(s) > maxTrustDomainLength {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if !IsLabel(label) {
			return false
		}
	}
	return true
}

// IsLabel reports whether s is a DNS label of RFC 1123 in lower case, as in Kubernetes.
func IsLabel(s string) bool {
	if s == "" || len(s) > maxLabelLength || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// maxQuotedChars bounds the foreign input that a message quotes.
const maxQuotedChars = 80

func truncate(s string) string { return foreign.Shorten(s, maxQuotedChars) }
