package session

import (
	"encoding/hex"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/foreign"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/nodeagent/run/capability"
	"github.com/mooring-dev/mooring/nodeagent/run/executor"
	"github.com/mooring-dev/mooring/nodeagent/run/journal"
)

// Defaults and bounds for an offer with missing or too large values.
const (
	defaultTimeout  = 30 * time.Second
	maxTimeout      = 24 * time.Hour
	defaultMaxBytes = 64 << 10
	maxOutputBytes  = 256 << 10
)

func refOf(d *gatewayv1.DispatchRef) journal.Ref {
	return journal.Ref{Namespace: d.GetNamespace(), Name: d.GetName(), UID: d.GetUid()}
}

func offerOf(o *gatewayv1.Offer) executor.Offer {
	timeout := o.GetTimeout().AsDuration()
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	limit := int(o.GetMaxPayloadBytes())
	if limit == 0 {
		limit = defaultMaxBytes
	}
	return executor.Offer{
		Dispatch:       refOf(o.GetDispatch()),
		Capability:     o.GetCapability(),
		Input:          o.GetInput(),
		Timeout:        min(timeout, maxTimeout),
		Expires:        o.GetExpires().AsTime(),
		MaxOutputBytes: min(limit, maxOutputBytes),
		RequestedBy:    o.GetRequestedBy(),
	}
}

var wireStates = map[journal.State]gatewayv1.UnsettledDispatch_State{
	journal.Accepted: gatewayv1.UnsettledDispatch_STATE_ACCEPTED,
	journal.Running:  gatewayv1.UnsettledDispatch_STATE_RUNNING,
	journal.Finished: gatewayv1.UnsettledDispatch_STATE_FINISHED,
}

var wireOutcomes = map[journal.Result]gatewayv1.Result_Outcome{
	journal.Succeeded: gatewayv1.Result_OUTCOME_SUCCEEDED,
	journal.Failed:    gatewayv1.Result_OUTCOME_FAILED,
	journal.TimedOut:  gatewayv1.Result_OUTCOME_TIMED_OUT,
	journal.Rejected:  gatewayv1.Result_OUTCOME_REJECTED,
	journal.Cancelled: gatewayv1.Result_OUTCOME_CANCELLED,
}

var wireExecutions = map[journal.Execution]gatewayv1.Result_Execution{
	journal.NotStarted: gatewayv1.Result_EXECUTION_NOT_STARTED,
	journal.Started:    gatewayv1.Result_EXECUTION_STARTED,
	journal.Ended:      gatewayv1.Result_EXECUTION_FINISHED,
	journal.Unknown:    gatewayv1.Result_EXECUTION_UNKNOWN,
}

func wireUnsettled(entries []journal.Entry) []*gatewayv1.UnsettledDispatch {
	out := make([]*gatewayv1.UnsettledDispatch, 0, len(entries))
	for _, e := range entries {
		out = append(out, &gatewayv1.UnsettledDispatch{Dispatch: wireRef(e.Dispatch), State: wireStates[e.State]})
	}
	return out
}

func resultMessage(e journal.Entry) *gatewayv1.StreamNodeEventsRequest {
	output, truncated := boundOutput(e.Outcome)
	result := &gatewayv1.Result{
		Dispatch:        wireRef(e.Dispatch),
		Outcome:         wireOutcomes[e.Outcome.Result],
		Execution:       wireExecutions[e.Outcome.Execution],
		Output:          output,
		OutputTruncated: truncated,
		ErrorCode:       foreign.Truncate(e.Outcome.ErrorCode, maxCodeBytes),
		ErrorMessage:    foreign.Truncate(e.Outcome.ErrorMessage, maxErrorBytes),
		FinishedTime:    timestamppb.New(e.Outcome.FinishedTime),
	}
	if !e.StartedTime.IsZero() {
		result.StartedTime = timestamppb.New(e.StartedTime)
	}
	return &gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_Result{Result: result}}
}

// stageOf converts a stage. A stage that this agent does not know counts as a hold.
func stageOf(stage gatewayv1.Clearance_Stage) executor.Stage {
	switch stage {
	case gatewayv1.Clearance_STAGE_ASK:
		return executor.StageAsk
	case gatewayv1.Clearance_STAGE_START:
		return executor.StageStart
	default:
		return executor.StageHold
	}
}

func acceptedMessage(r journal.Ref) *gatewayv1.StreamNodeEventsRequest {
	return &gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_Accepted{
		Accepted: &gatewayv1.Accepted{Dispatch: wireRef(r)},
	}}
}

func askedMessage(r journal.Ref, user string, since time.Time) *gatewayv1.StreamNodeEventsRequest {
	return &gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_AwaitingLocalMediation{
		AwaitingLocalMediation: &gatewayv1.AwaitingLocalMediation{Dispatch: wireRef(r), AskedUser: foreign.Truncate(user, maxUserBytes), Since: timestamppb.New(since)},
	}}
}

func allowedMessage(r journal.Ref) *gatewayv1.StreamNodeEventsRequest {
	return &gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_MediationDecided{
		MediationDecided: &gatewayv1.MediationDecided{Dispatch: wireRef(r)},
	}}
}

func progressMessage(r journal.Ref, percent int, message string) *gatewayv1.StreamNodeEventsRequest {
	return &gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_Progress{
		Progress: &gatewayv1.Progress{Dispatch: wireRef(r), Percent: uint32(percent), Message: foreign.Truncate(message, maxProgressTextBytes)},
	}}
}

func changedMessage(declared []*gatewayv1.Capability) *gatewayv1.StreamNodeEventsRequest {
	return &gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_CapabilitiesChanged{
		CapabilitiesChanged: &gatewayv1.CapabilitiesChanged{Capabilities: declared},
	}}
}

func heartbeatMessage(now time.Time) *gatewayv1.StreamNodeEventsRequest {
	return &gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_Heartbeat{
		Heartbeat: &gatewayv1.Heartbeat{AgentTime: timestamppb.New(now)},
	}}
}

func storedMessage(bundle identity.Bundle) *gatewayv1.StreamNodeEventsRequest {
	return &gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_TrustBundleStored{
		TrustBundleStored: &gatewayv1.TrustBundleStored{Sha256: bundleHash(bundle)},
	}}
}

func stoppingMessage(reason string) *gatewayv1.StreamNodeEventsRequest {
	return &gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_Stopping{
		Stopping: &gatewayv1.Stopping{Reason: foreign.Truncate(reason, maxStoppingBytes)},
	}}
}

// bundleHash returns Bundle.SHA256 in the form of the protocol: 32 bytes.
func bundleHash(bundle identity.Bundle) []byte {
	sum, err := hex.DecodeString(bundle.SHA256())
	if err != nil {
		return nil // unreachable: SHA256 is hex
	}
	return sum
}

// declareCapabilities lists the capabilities. changed is closed when the list is out of date.
func declareCapabilities(registry *capability.Registry) (declared []*gatewayv1.Capability, changed <-chan struct{}) {
	all, changed := registry.All()
	schemas := 0
	for _, c := range all {
		mediation := gatewayv1.Mediation_MEDIATION_NONE
		if c.Mediation() == capability.MediationLocal {
			mediation = gatewayv1.Mediation_MEDIATION_LOCAL
		}
		reason := c.Unavailable()
		schema := c.Schema()
		if schemas += len(schema); schemas > maxSchemasBytes {
			schema = nil // the machine checks the input itself
		}
		declared = append(declared, &gatewayv1.Capability{
			Name: c.Name(), Description: foreign.Truncate(c.Description(), maxDescriptionBytes), Mediation: mediation,
			Available: reason == "", Reason: foreign.Truncate(reason, maxReasonBytes), InputSchema: schema,
		})
	}
	return declared, changed
}
