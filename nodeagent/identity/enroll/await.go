package enroll

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/foreign"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/nodeagent/transport/backoff"
	"github.com/mooring-dev/mooring/nodeagent/transport/link"
)

const (
	// pollTimeout is the longest time that a gateway holds a poll (30 s), plus a reserve for a slow
	// network.
	pollTimeout = 45 * time.Second
	// minPollInterval limits the rate of polls to a gateway that does not hold them.
	minPollInterval = 500 * time.Millisecond
	// maxPollsPerCSR is the number of polls that carry the same CSR. Repeating a CSR waits for its
	// one certificate; a new CSR starts over when the old one was rejected.
	maxPollsPerCSR = 3
	// notFoundGrace is the time for which a request may be missing: a gateway that was not running
	// when the request was created may not see it yet.
	notFoundGrace = 30 * time.Second
)

// awaitApproval polls until the request is decided and the certificate is stored.
func (p *pairer) awaitApproval(ctx context.Context) error {
	if p.Endpoint == "" {
		p.Endpoint = p.pending.Request.PairingEndpoint
	}
	p.Console.Print("Waiting for approval of pairing request %s …", p.requestName())
	p.observe(p.requestName(), "")
	w := &approvalWaiter{pairer: p, retry: p.NewBackoff()}
	for {
		err := w.poll(ctx)
		if err == nil || !errors.Is(err, errRetryable) {
			return err
		}
		if isStopped(ctx, err) {
			return context.Cause(ctx)
		}
		p.printRetry(err)
		p.Log.Warn("poll interrupted", "endpoint", p.Endpoint, "error", err)
		if err := backoff.Sleep(ctx, requestedRetryDelay(err)+w.retry.Next()); err != nil {
			return err
		}
	}
}

func (p *pairer) requestName() string {
	return p.pending.Request.Namespace + "/" + p.pending.Request.Name
}

// approvalWaiter is the state of one wait for a decision; it outlives its connections.
type approvalWaiter struct {
	*pairer
	retry        *backoff.Backoff
	id           identity.ID
	csr          []byte
	csrPolls     int // number of polls that carried csr
	missingSince time.Time
}

// poll polls over one connection until there is an outcome or the connection ends.
func (w *approvalWaiter) poll(ctx context.Context) error {
	l, err := w.Dialer.Dial(ctx, w.Endpoint, link.TLSConfig(w.pending.Request.Bundle, nil, w.Now))
	if err != nil {
		return &retryableError{err}
	}
	defer l.Close()
	client := gatewayv1.NewPairingServiceClient(l.Conn)
	for {
		pollStart := w.Now()
		answer, err := w.requestStatus(ctx, client, l)
		if err != nil {
			return w.classifyPollError(err)
		}
		w.Log.DebugContext(ctx, "pairing state received", "request", w.requestName(), "state", stateName(answer))
		w.retry.Reset()
		w.missingSince = time.Time{}
		done, err := w.handleState(l, answer)
		if done || err != nil {
			return err
		}
		if answer.GetPending() != nil && w.Now().Sub(pollStart) < minPollInterval {
			if err := backoff.Sleep(ctx, minPollInterval); err != nil {
				return err
			}
		}
	}
}

func (w *approvalWaiter) requestStatus(ctx context.Context, client gatewayv1.PairingServiceClient, l *link.Link) (*gatewayv1.GetPairingRequestStatusResponse, error) {
	proof, err := identity.SignProof(w.pending.Key, w.Rand, identity.Proof{
		Method:   identity.ProofPairingStatus,
		Request:  w.requestName(),
		Exporter: l.Exporter,
		CSR:      w.csr,
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	return client.GetPairingRequestStatus(ctx, &gatewayv1.GetPairingRequestStatusRequest{
		Namespace: w.pending.Request.Namespace,
		Name:      w.pending.Request.Name,
		Csr:       w.csr,
		Proof:     proof,
	})
}

// classifyPollError classifies the errors of a poll. A poll proves no code, so its status codes
// have other meanings than those of the exchange.
func (w *approvalWaiter) classifyPollError(err error) error {
	switch status.Code(err) {
	case codes.NotFound:
		if w.missingSince.IsZero() {
			w.missingSince = w.Now()
		}
		if w.Now().Sub(w.missingSince) < notFoundGrace {
			return &retryableError{err}
		}
		return w.dropRequest(&finalError{ErrFailed, "the pairing request does not exist any more: ask for a new code"})
	case codes.Unauthenticated, codes.InvalidArgument, codes.PermissionDenied:
		return &finalError{ErrFailed, shortReason(err)}
	default:
		return &retryableError{err}
	}
}

// handleState handles one state; done means that the identity is stored.
func (w *approvalWaiter) handleState(l *link.Link, answer *gatewayv1.GetPairingRequestStatusResponse) (done bool, err error) {
	switch state := answer.GetState().(type) {
	case *gatewayv1.GetPairingRequestStatusResponse_Pending:
		if message := foreign.BriefLine(state.Pending.GetMessage()); message != "" {
			w.Console.PrintOnce("  %s", message)
			w.observe(w.requestName(), message)
		}
		return false, w.refreshCSR()
	case *gatewayv1.GetPairingRequestStatusResponse_Approved:
		return false, w.handleApproved(state.Approved.GetSpiffeId())
	case *gatewayv1.GetPairingRequestStatusResponse_Completed:
		return true, w.handleCompleted(l, state.Completed)
	case *gatewayv1.GetPairingRequestStatusResponse_Denied:
		return false, w.dropRequest(&finalError{ErrDenied, foreign.BriefLine(state.Denied.GetReason())})
	case *gatewayv1.GetPairingRequestStatusResponse_Failed:
		return false, w.dropRequest(&finalError{ErrFailed, foreign.BriefLine(state.Failed.GetReason())})
	case *gatewayv1.GetPairingRequestStatusResponse_Expired:
		return false, w.dropRequest(ErrExpired)
	default:
		return false, &finalError{ErrFailed, "the gateway speaks a newer protocol: update mooring-agent"}
	}
}

// stateName returns the name of the state in an answer, for the log.
func stateName(answer *gatewayv1.GetPairingRequestStatusResponse) string {
	switch answer.GetState().(type) {
	case *gatewayv1.GetPairingRequestStatusResponse_Pending:
		return "pending"
	case *gatewayv1.GetPairingRequestStatusResponse_Approved:
		return "approved"
	case *gatewayv1.GetPairingRequestStatusResponse_Completed:
		return "completed"
	case *gatewayv1.GetPairingRequestStatusResponse_Denied:
		return "denied"
	case *gatewayv1.GetPairingRequestStatusResponse_Failed:
		return "failed"
	case *gatewayv1.GetPairingRequestStatusResponse_Expired:
		return "expired"
	default:
		return "unknown"
	}
}

// dropRequest removes a request that ended without an identity; the key and the number of tries
// stay.
func (w *approvalWaiter) dropRequest(cause error) error {
	w.pending.Request = nil
	if err := w.Store.SavePending(w.pending); err != nil {
		return errors.Join(cause, err)
	}
	return cause
}
