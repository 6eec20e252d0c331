package session

import (
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/nodeagent/capability"
	"github.com/mooring-dev/mooring/nodeagent/journal"
)

// A gateway takes messages of 512 KiB. One that it does not take ends the session, and a result
// that waits in the journal would end each later one, too. So every part of a message has a bound
// here, whatever its source: a Hello names at most journal.MaxUnsettled dispatches, and a result
// has an output of at most maxOutputBytes.
const (
	// maxMessageBytes is more than any message has. A report over polls adds one to at most
	// maxReportBytes.
	maxMessageBytes = 320 << 10

	maxNamespaceBytes    = 63  // a DNS label
	maxNameBytes         = 253 // a DNS subdomain
	maxUIDBytes          = 64
	maxIDBytes           = 64
	maxUserBytes         = 256
	maxCodeBytes         = 64
	maxErrorBytes        = 4 << 10
	maxDescriptionBytes  = 512
	maxReasonBytes       = 256
	maxSchemasBytes      = 128 << 10 // of all capabilities; a gateway keeps 32 KiB
	maxStoppingBytes     = 256
	maxProgressTextBytes = 256
)

// text returns s as a message can hold it: UTF-8, without which a message is not encoded, of at
// most limit bytes.
func text(s string, limit int) string {
	s = strings.ToValidUTF8(beginning(s, limit), "\uFFFD")
	return beginning(s, limit) // U+FFFD is longer than what it stands for
}

// beginning returns at most limit bytes of s and cuts between characters.
func beginning(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}

// nameable reports whether a dispatch has a name and UID of Kubernetes. Only such a dispatch is
// taken from a gateway: each is named in every Hello until it is settled.
func nameable(d *gatewayv1.DispatchRef) bool {
	return len(d.GetNamespace()) <= maxNamespaceBytes && len(d.GetName()) <= maxNameBytes &&
		d.GetUid() != "" && len(d.GetUid()) <= maxUIDBytes
}

func wireRef(r journal.Ref) *gatewayv1.DispatchRef {
	return &gatewayv1.DispatchRef{
		Namespace: text(r.Namespace, maxNamespaceBytes), Name: text(r.Name, maxNameBytes), Uid: text(r.UID, maxUIDBytes),
	}
}

// fits reports whether a gateway takes a message.
func fits(message *gatewayv1.StreamNodeEventsRequest) bool {
	return proto.Size(message) <= maxMessageBytes
}

// boundOutput cuts an output that is longer than a dispatch may ask for: that of a journal that
// another version wrote.
func boundOutput(outcome *journal.Outcome) (output []byte, truncated bool) {
	output, cut := capability.Bound(outcome.Output, maxOutputBytes)
	return output, cut || outcome.OutputTruncated
}
