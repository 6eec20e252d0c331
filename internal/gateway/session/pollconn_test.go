package session

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"k8s.io/utils/clock"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/dispatch"
	"github.com/mooring-dev/mooring/internal/gateway/peer"
)

func settledOf(uid string) *gatewayv1.StreamNodeEventsResponse {
	return &gatewayv1.StreamNodeEventsResponse{Message: &gatewayv1.StreamNodeEventsResponse_Settled{
		Settled: &gatewayv1.Settled{Dispatch: &gatewayv1.DispatchRef{Uid: uid}}}}
}

func TestWhatAPollDidNotAcknowledgeIsSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := &Service{Options: Options{Clock: clock.RealClock{}}}, newPollConn(peer.Identity{})
		send := func(uid string) {
			t.Helper()
			if err := c.Send(settledOf(uid)); err != nil {
				t.Fatal(err)
			}
		}
		poll := func(acknowledged, sequence uint64, want ...string) {
			t.Helper()
			answer, err := s.awaitMessages(t.Context(), c, acknowledged)
			if err != nil || len(answer.GetMessages()) != len(want) || answer.GetSequence() != sequence {
				t.Fatalf("a poll after %d answered %v, %v, want %v as %d", acknowledged, answer, err, want, sequence)
			}
			for i, m := range answer.GetMessages() {
				if got := m.GetSettled().GetDispatch().GetUid(); got != want[i] {
					t.Errorf("message %d is %s, want %s", i, got, want[i])
				}
			}
		}
		send("a")
		poll(0, 1, "a")
		send("b")
		send("c")
		poll(1, 2, "b", "c")
		send("d")
		poll(1, 3, "b", "c", "d") // the previous answer was lost
		poll(1, 4, "b", "c", "d") // this answer was lost, too
		poll(4, 4)                // waits until pollTimeout: no new message
		send("e")
		poll(4, 5, "e")
		send("f")
		poll(0, 6, "f") // from an agent that does not acknowledge answers
	})
}

// Sixteen inputs of full length exceed the message size that an agent accepts.
func TestAnAnswerToAPollIsNoLargerThanAnAgentTakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := &Service{Options: Options{Clock: clock.RealClock{}}}, newPollConn(peer.Identity{})
		const offers = 20
		for i := range offers {
			if err := c.Send(&gatewayv1.StreamNodeEventsResponse{Message: &gatewayv1.StreamNodeEventsResponse_Offer{Offer: &gatewayv1.Offer{
				Dispatch: &gatewayv1.DispatchRef{Uid: fmt.Sprint(i)}, Input: make([]byte, dispatch.MaxInputBytes)}}}); err != nil {
				t.Fatal(err)
			}
		}
		lost, next := true, 0
		for acknowledged := uint64(0); next < offers; {
			answer, err := s.awaitMessages(t.Context(), c, acknowledged)
			if err != nil || len(answer.GetMessages()) == 0 {
				t.Fatalf("%v, %v after %d offers", answer, err, next)
			}
			if size := proto.Size(answer); size > maxAnswerBytes+dispatch.MaxInputBytes {
				t.Fatalf("an answer has %d bytes", size)
			}
			if lost = !lost; lost && acknowledged > 0 {
				continue // the answer was lost
			}
			for _, m := range answer.GetMessages() {
				if got := m.GetOffer().GetDispatch().GetUid(); got != fmt.Sprint(next) {
					t.Fatalf("offer %s came, want %d", got, next)
				}
				next++
			}
			acknowledged = answer.GetSequence()
		}
	})
}

// A poll on a connection that broke unnoticed takes no messages from the newer poll.
func TestANewerPollTakesTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := &Service{Options: Options{Clock: clock.RealClock{}}}, newPollConn(peer.Identity{})
		polls := make([]chan error, 5)
		for i := range polls {
			polls[i] = make(chan error, 1)
			go func() {
				answer, err := s.awaitMessages(context.Background(), c, 0)
				if err == nil && len(answer.GetMessages()) != 1 {
					err = status.Error(codes.NotFound, "no message")
				}
				polls[i] <- err
			}()
			synctest.Wait()
		}
		if err := c.Send(settledOf("a")); err != nil {
			t.Fatal(err)
		}
		for i, ended := range polls {
			want := codes.Canceled
			if i == len(polls)-1 {
				want = codes.OK
			}
			if err := <-ended; status.Code(err) != want {
				t.Errorf("poll %d ended with %v, want %s", i, err, want)
			}
		}
	})
}
