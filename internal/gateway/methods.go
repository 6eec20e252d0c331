package gateway

import (
	"time"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/gateway/ratelimit"
)

// callerKind is the kind of identity that a method requires.
type callerKind int

const (
	// noCaller is the caller of a method without a row in the table: no call is allowed.
	noCaller callerKind = iota
	// unauthenticated has no identity yet and proves its claim inside the call (code, token or
	// signature).
	unauthenticated
	// pinnedMachine has a client certificate with the pinned key of a live Node.
	pinnedMachine
)

// sourceBudget names the budget in Limits from which a pairing call of an address is taken.
type sourceBudget int

const (
	beginsOfSource sourceBudget = iota + 1
	callsOfSource
)

// method is the row of a method: its callers and its budget. The budget is checked before the
// request is read.
type method struct {
	caller   callerKind
	bySource sourceBudget   // for the pairing listener, where callers have no identity yet
	byNode   ratelimit.Rate // for the node listener
}

// sessionQuota bounds the calls that open a session. It is wider than the budget of status writes,
// which bounds the sessions themselves (package session).
var sessionQuota = ratelimit.Rate{Burst: 30, Every: 2 * time.Second}

// pollQuota bounds the calls of a machine that polls: two for each dispatch.
var pollQuota = ratelimit.Rate{Burst: 200, Every: 10 * time.Millisecond}

// identityQuota bounds the calls that change the identity of a machine; each verifies signatures.
var identityQuota = ratelimit.Rate{Burst: 16, Every: 5 * time.Second}

// methods is the list of allowed methods. A method that is missing here is refused, even if a
// server has it registered.
var methods = map[string]method{
	gatewayv1.PairingService_BeginPairingSession_FullMethodName:     {caller: unauthenticated, bySource: beginsOfSource},
	gatewayv1.PairingService_CompletePairingSession_FullMethodName:  {caller: unauthenticated, bySource: callsOfSource},
	gatewayv1.PairingService_GetPairingRequestStatus_FullMethodName: {caller: unauthenticated, bySource: callsOfSource},
	gatewayv1.PairingService_RecoverCertificate_FullMethodName:      {caller: unauthenticated, bySource: callsOfSource},

	gatewayv1.NodeService_RegisterNode_FullMethodName:            {caller: pinnedMachine, byNode: sessionQuota},
	gatewayv1.NodeService_StreamNodeEvents_FullMethodName:        {caller: pinnedMachine, byNode: sessionQuota},
	gatewayv1.NodeService_PollDispatch_FullMethodName:            {caller: pinnedMachine, byNode: pollQuota},
	gatewayv1.NodeService_ReportResult_FullMethodName:            {caller: pinnedMachine, byNode: pollQuota},
	gatewayv1.NodeService_RotateDeviceCertificate_FullMethodName: {caller: pinnedMachine, byNode: identityQuota},
	gatewayv1.NodeService_RevokeDevicePairing_FullMethodName:     {caller: pinnedMachine, byNode: identityQuota},
}
