package session

import (
	"strconv"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/foreign"
)

// debug writes a debug line about the session, under the rules of dispatchtable.Debug.
func (s *session) debug(message string, pairs ...string) {
	if !s.service.Log.V(1).Enabled() {
		return
	}
	values := make([]any, 0, 2+len(pairs))
	values = append(values, "session", s.id)
	for _, v := range pairs {
		values = append(values, v)
	}
	s.log().V(1).Info(message, values...)
}

// debugHello writes a debug line about a Hello.
func (s *session) debugHello(hello *gatewayv1.Hello) {
	if !s.service.Log.V(1).Enabled() {
		return
	}
	s.debug("hello received", "dialCounter", strconv.FormatUint(hello.GetDialCounter(), 10),
		"agentVersion", foreign.TruncateLine(hello.GetAgentVersion(), 64), "unsettled", strconv.Itoa(len(hello.GetUnsettled())))
}
