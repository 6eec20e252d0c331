package session

import (
	"google.golang.org/protobuf/proto"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/foreign"
	"github.com/mooring-dev/mooring/nodeagent/run/capability"
	"github.com/mooring-dev/mooring/nodeagent/run/journal"
)

// A gateway accepts messages of up to 512 KiB. A larger message ends the session, and a result in
// the journal would end every later session too. Every part of a message therefore has a bound
// here, whatever its source. A Hello names at most journal.MaxUnsettled dispatches, and a result
// has an output of at most maxOutputBytes.
const (
	// maxMessageBytes is larger than any message. A report over polls adds a message to at most
	// transport.MaxReportBytes.
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

// validRef reports whether a dispatch has a valid name and UID of Kubernetes. The agent accepts
// only such dispatches, because every Hello names each of them until it is settled.
func validRef(d *gatewayv1.DispatchRef) bool {
	return len(d.GetNamespace()) <= maxNamespaceBytes && len(d.GetName()) <= maxNameBytes &&
		d.GetUid() != "" && len(d.GetUid()) <= maxUIDBytes
}

func wireRef(r journal.Ref) *gatewayv1.DispatchRef {
	return &gatewayv1.DispatchRef{
		Namespace: foreign.Truncate(r.Namespace, maxNamespaceBytes), Name: foreign.Truncate(r.Name, maxNameBytes), Uid: foreign.Truncate(r.UID, maxUIDBytes),
	}
}

// fitsMessageLimit reports whether a gateway accepts the size of a message.
func fitsMessageLimit(message *gatewayv1.StreamNodeEventsRequest) bool {
	return proto.Size(message) <= maxMessageBytes
}

// boundOutput cuts an output that is longer than a dispatch may request. Only a journal of another
// version can hold such an output.
func boundOutput(outcome *journal.Outcome) (output []byte, truncated bool) {
	output, cut := capability.TruncateOutput(outcome.Output, maxOutputBytes)
	return output, cut || outcome.OutputTruncated
}
