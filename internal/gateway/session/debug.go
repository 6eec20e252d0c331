package session

import (
	"strconv"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/foreign"
	"github.com/mooring-dev/mooring/internal/gateway/dispatchtable"
)

// debug writes a debug line about the session, under the rules of dispatchtable.Debug.
func (s *session) debug(message string, pairs ...string) {
	dispatchtable.DebugSession(s.service.Log, s.key, s.id, message, pairs...)
}

// debugHello writes a debug line about a Hello.
func (s *session) debugHello(hello *gatewayv1.Hello) {
	if !s.service.Log.V(1).Enabled() {
		return
	}
	s.debug("hello received", "dialCounter", strconv.FormatUint(hello.GetDialCounter(), 10),
		"agentVersion", foreign.TruncateLine(hello.GetAgentVersion(), 64), "unsettled", strconv.Itoa(len(hello.GetUnsettled())))
}
