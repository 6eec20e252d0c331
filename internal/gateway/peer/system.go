package peer

import (
	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/foreign"
)

// SystemInfo returns the description that a machine gives of itself in its stored form, and nil for
// nil. It is for people and decides nothing, so a text that does not fit is cut and not refused. A
// PairingRequest and its Node store the same texts.
func SystemInfo(info *gatewayv1.SystemInfo) *v1alpha1.SystemInfo {
	if info == nil {
		return nil
	}
	return &v1alpha1.SystemInfo{
		OS:            foreign.TruncateLine(info.GetOs(), 64),
		Arch:          foreign.TruncateLine(info.GetArch(), 64),
		Platform:      foreign.TruncateLine(info.GetPlatform(), 128),
		Hostname:      foreign.TruncateLine(info.GetHostname(), 253),
		KernelVersion: foreign.TruncateLine(info.GetKernelVersion(), 256),
		OSImage:       foreign.TruncateLine(info.GetOsImage(), 256),
		AgentVersion:  foreign.TruncateLine(info.GetAgentVersion(), 64),
	}
}
