package link

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"k8s.io/utils/clock"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/dispatch"
	"github.com/mooring-dev/mooring/internal/gateway/peer"
	"github.com/mooring-dev/mooring/internal/identity"
)

func settled(uid string) *gatewayv1.StreamNodeEventsResponse {
	return &gatewayv1.StreamNodeEventsResponse{Message: &gatewayv1.StreamNodeEventsResponse_Settled{
		Settled: &gatewayv1.Settled{Dispatch: &gatewayv1.DispatchRef{Uid: uid}}}}
}

func TestWhatAPollDidNotAcknowledgeIsSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewPollConn(clock.RealClock{}, peer.Identity{})
		send := func(uid string) {
			t.Helper()
			if err := c.Send(settled(uid)); err != nil {
				t.Fatal(err)
			}
		}
		poll := func(acknowledged, sequence uint64, want ...string) {
			t.Helper()
			answer, err := c.Await(t.Context(), acknowledged)
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
		c := NewPollConn(clock.RealClock{}, peer.Identity{})
		const offers = 20
		for i := range offers {
			if err := c.Send(&gatewayv1.StreamNodeEventsResponse{Message: &gatewayv1.StreamNodeEventsResponse_Offer{Offer: &gatewayv1.Offer{
				Dispatch: &gatewayv1.DispatchRef{Uid: fmt.Sprint(i)}, Input: make([]byte, dispatch.MaxInputBytes)}}}); err != nil {
				t.Fatal(err)
			}
		}
		lost, next := true, 0
		for acknowledged := uint64(0); next < offers; {
			answer, err := c.Await(t.Context(), acknowledged)
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
		c := NewPollConn(clock.RealClock{}, peer.Identity{})
		polls := make([]chan error, 5)
		for i := range polls {
			polls[i] = make(chan error, 1)
			go func() {
				answer, err := c.Await(context.Background(), 0)
				if err == nil && len(answer.GetMessages()) != 1 {
					err = status.Error(codes.NotFound, "no message")
				}
				polls[i] <- err
			}()
			synctest.Wait()
		}
		if err := c.Send(settled("a")); err != nil {
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

func TestAnAnswerCarriesAtLeastOneMessageAndExactlyItsBytes(t *testing.T) {
	message := func(size int) *gatewayv1.StreamNodeEventsResponse {
		m := &gatewayv1.StreamNodeEventsResponse{Message: &gatewayv1.StreamNodeEventsResponse_Offer{Offer: &gatewayv1.Offer{}}}
		// 4 bytes each for the tag and length of the input and of the enclosing offer.
		m.GetOffer().Input = make([]byte, size-4-4)
		return m
	}
	half, over := message(maxAnswerBytes/2), message(maxAnswerBytes/2+1)
	for name, tt := range map[string]struct {
		messages []*gatewayv1.StreamNodeEventsResponse
		want     int
	}{
		"none":            {nil, 0},
		"one too large":   {[]*gatewayv1.StreamNodeEventsResponse{message(2 * maxAnswerBytes), half}, 1},
		"exactly as many": {[]*gatewayv1.StreamNodeEventsResponse{half, half, half}, 2},
		"a byte more":     {[]*gatewayv1.StreamNodeEventsResponse{half, over}, 1},
	} {
		if got := fittingMessages(tt.messages); got != tt.want {
			t.Errorf("%s: %d messages, want %d", name, got, tt.want)
		}
	}
}

func TestAPolledSessionBelongsToOneMachineUntilItEnds(t *testing.T) {
	owner := peer.Identity{ID: identity.ID{Namespace: "fleet", Node: "pc"}, PublicKeySHA256: "key"}
	otherKey, otherNode := owner, owner
	otherKey.PublicKeySHA256, otherNode.ID.Node = "other", "other"
	polls, c := NewPolls(), NewPollConn(clock.RealClock{}, owner)
	polls.Add("s", c)
	for name, tt := range map[string]struct {
		id     string
		caller peer.Identity
		want   *PollConn
	}{
		"its owner":       {"s", owner, c},
		"another session": {"t", owner, nil},
		"another key":     {"s", otherKey, nil},
		"another machine": {"s", otherNode, nil},
	} {
		if got, err := polls.Get(tt.id, tt.caller); got != tt.want || (err == nil) != (tt.want != nil) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	polls.Remove("s")
	if _, err := polls.Get("s", owner); !errors.Is(err, errUnknownSession) {
		t.Errorf("after its end: %v", err)
	}
}

func TestTheEndOfAPolledSessionReachesTheMachine(t *testing.T) {
	broken := errors.New("broken")
	for name, tt := range map[string]struct{ end, want error }{"a clean end": {nil, errUnknownSession}, "an error": {broken, broken}} {
		c := NewPollConn(clock.RealClock{}, peer.Identity{})
		c.End(tt.end)
		<-c.Ended()
		if _, err := c.Await(t.Context(), 0); !errors.Is(err, tt.want) {
			t.Errorf("%s: a poll ended with %v", name, err)
		}
		if err := c.Deliver(t.Context(), &gatewayv1.StreamNodeEventsRequest{}); !errors.Is(err, tt.want) {
			t.Errorf("%s: a message ended with %v", name, err)
		}
		if _, err := c.Recv(); !errors.Is(err, io.EOF) {
			t.Errorf("%s: Recv() = %v", name, err)
		}
	}
}

func TestAMachineThatDoesNotPollEndsItsSession(t *testing.T) {
	c := NewPollConn(clock.RealClock{}, peer.Identity{})
	for range maxUnsent {
		if err := c.Send(settled("a")); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Send(settled("a")); !errors.Is(err, errMachineNotReading) {
		t.Errorf("Send() = %v", err)
	}
}
