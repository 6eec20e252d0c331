package session

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/utils/clock"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/gateway/peer"
	"github.com/mooring-dev/mooring/internal/identity"
)

// loudConn is the stream of a machine that sends the same message as fast as the gateway reads.
type loudConn struct {
	ctx     context.Context
	message *gatewayv1.StreamNodeEventsRequest
}

func (loudConn) Send(*gatewayv1.StreamNodeEventsResponse) error { return nil }

func (l loudConn) Recv() (*gatewayv1.StreamNodeEventsRequest, error) { return l.message, l.ctx.Err() }

// A gateway reads from a machine no faster than the allowance of the Node permits, for any number
// of sessions.
func TestTheMessagesOfANodeAreReadWithinItsAllowance(t *testing.T) {
	const lasts = 20 * time.Second
	large := &gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_Result{
		Result: &gatewayv1.Result{Output: make([]byte, 256<<10)}}}
	small := &gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_Heartbeat{}}
	for name, c := range map[string]struct {
		message *gatewayv1.StreamNodeEventsRequest
		most    int
	}{
		"small": {small, messagesBurst + int(lasts/time.Second)*messagesPerSecond},
		"large": {large, (bytesBurst + int(lasts/time.Second)*bytesPerSecond) / (256 << 10)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), lasts)
				defer cancel()
				service := New(Options{Clock: clock.RealClock{}, Log: logr.Discard(), Gateway: "gw"})
				read := make(chan int)
				const sessions = 3
				for range sessions {
					s := service.newSession(peer.Identity{ID: identity.ID{Namespace: pcKey.Namespace, Node: pcKey.Name}}, silentConn{})
					go s.receive(loudConn{ctx, c.message})
					go func() {
						n := 0
						for range s.received {
							n++
						}
						read <- n
					}()
				}
				total := 0
				for range sessions {
					total += <-read
				}
				if total > c.most+sessions || total < c.most*9/10 {
					t.Errorf("%d messages were read in %s, want about %d", total, lasts, c.most)
				}
			})
		})
	}
}
