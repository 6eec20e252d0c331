package gateway

import (
	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
)

// caller is the kind of identity a method asks for.
type caller int

const (
	// nobody may call a method that is not in the table.
	nobody caller = iota
	// stranger proves itself inside the call (code, token or signature).
	stranger
	// machine has a client certificate with the pinned key of a live Node.
	machine
)

// methods is the closed world: a method that is missing here is refused, whatever
// is registered.
var methods = map[string]caller{
	gatewayv1.PairingService_BeginPairingSession_FullMethodName:     stranger,
	gatewayv1.PairingService_CompletePairingSession_FullMethodName:  stranger,
	gatewayv1.PairingService_GetPairingRequestStatus_FullMethodName: stranger,
	gatewayv1.PairingService_RecoverCertificate_FullMethodName:      stranger,

	gatewayv1.NodeService_RegisterNode_FullMethodName:            machine,
	gatewayv1.NodeService_StreamNodeEvents_FullMethodName:        machine,
	gatewayv1.NodeService_PollDispatch_FullMethodName:            machine,
	gatewayv1.NodeService_ReportResult_FullMethodName:            machine,
	gatewayv1.NodeService_RotateDeviceCertificate_FullMethodName: machine,
	gatewayv1.NodeService_RevokeDevicePairing_FullMethodName:     machine,
}
