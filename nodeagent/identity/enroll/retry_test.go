package enroll_test

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/nodeagent/identity/enroll"
	"github.com/mooring-dev/mooring/test/fakegateway"
)

// TestTheAgentComesBackWhenTheGatewayAsksIt checks that the agent honours the retry delay of a
// gateway that has no room: earlier tries would only use up the code.
func TestTheAgentComesBackWhenTheGatewayAsksIt(t *testing.T) {
	const wait = 300 * time.Millisecond
	g := fakegateway.Start(t)
	var calls []time.Time
	g.Pairing.Begin = func() error {
		if calls = append(calls, time.Now()); len(calls) > 1 {
			return nil
		}
		full, err := status.New(codes.ResourceExhausted, "too many pairing requests").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(wait)})
		if err != nil {
			return err
		}
		return full.Err()
	}
	m := newMachine(t, g)
	if err := m.pair(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(calls) != 2 || calls[1].Sub(calls[0]) < wait {
		t.Errorf("called at %v, want the second at least %s after the first", calls, wait)
	}
}

// unavailableError returns a refusal with a confirmation, as a gateway sends it that verified the
// code and cannot store the request. The confirmation of a false gateway does not verify.
func unavailableError(t *testing.T, confirmation []byte) error {
	t.Helper()
	refused, err := status.New(codes.Unavailable, "the API server of the cluster is busy").WithDetails(&errdetails.ErrorInfo{
		Reason: gatewayv1.ReasonCodeVerified, Metadata: map[string]string{gatewayv1.MetadataConfirmation: hex.EncodeToString(confirmation)}})
	if err != nil {
		t.Fatal(err)
	}
	return refused.Err()
}

func TestARefusalByAGatewayThatVerifiedTheCodeCostsNoTry(t *testing.T) {
	g := fakegateway.Start(t)
	calls := 0
	g.Pairing.Complete = func(answer *gatewayv1.CompletePairingSessionResponse) (*gatewayv1.CompletePairingSessionResponse, error) {
		if calls++; calls <= 5 {
			return nil, unavailableError(t, answer.GetConfirmation())
		}
		return answer, nil
	}
	m := newMachine(t, g)
	if err := m.pair(t.Context()); err != nil {
		t.Fatalf("after %d calls: %v", calls, err)
	}
	if calls != 6 {
		t.Errorf("%d calls, want 6", calls)
	}
	if want := "answers: the API server of the cluster is busy"; !strings.Contains(m.out.String(), want) {
		t.Errorf("the console shows %q, want %q", m.out.String(), want)
	}
}

func TestAFalseGatewayThatClaimsToHaveVerifiedTheCodeSeesThreeConfirmations(t *testing.T) {
	g := fakegateway.Start(t)
	g.Pairing.Complete = func(*gatewayv1.CompletePairingSessionResponse) (*gatewayv1.CompletePairingSessionResponse, error) {
		return nil, unavailableError(t, make([]byte, 32))
	}
	m := newMachine(t, g)
	err := m.pair(t.Context())
	if !errors.Is(err, enroll.ErrNoTriesLeft) || !strings.Contains(err.Error(), "the last try ended with: the API server of the cluster is busy") {
		t.Errorf("got %v, want the end of the tries with its reason", err)
	}
	if got := g.Pairing.Confirmations(); got != 3 {
		t.Errorf("%d confirmations were sent, want 3", got)
	}
}
