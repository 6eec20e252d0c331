package enroll

import (
	"context"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/foreign"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/internal/pairing"
	"github.com/mooring-dev/mooring/nodeagent/identity/store"
	"github.com/mooring-dev/mooring/nodeagent/transport/backoff"
	"github.com/mooring-dev/mooring/nodeagent/transport/link"
)

// callTimeout bounds Begin and Complete, which the gateway answers at once.
const callTimeout = 15 * time.Second

// repeatExchange repeats the exchange until it is decided, as often as is safe.
func (p *pairer) repeatExchange(ctx context.Context) error {
	attempt := p.exchange
	switch {
	case p.ServiceAccount != nil:
		attempt = p.sendToken
	case p.code == nil:
		return ErrNoCode
	}
	retry := p.NewBackoff()
	for {
		err := attempt(ctx)
		if err == nil || !errors.Is(err, errRetryable) {
			return err
		}
		if isStopped(ctx, err) {
			return context.Cause(ctx)
		}
		p.lastRefusal = shortReason(errors.Unwrap(err))
		p.printRetry(err)
		p.Log.Warn("pairing exchange interrupted", "endpoint", p.Endpoint, "error", err)
		if err := backoff.Sleep(ctx, requestedRetryDelay(err)+retry.Next()); err != nil {
			return err
		}
	}
}

// errRetryable marks an error after which the call may be repeated.
var errRetryable = errors.New("try again")

type retryableError struct{ cause error }

func (e *retryableError) Error() string        { return e.cause.Error() }
func (e *retryableError) Unwrap() error        { return e.cause }
func (e *retryableError) Is(target error) bool { return target == errRetryable }

// exchange runs one SPAKE2 exchange on one connection.
func (p *pairer) exchange(ctx context.Context) error {
	if p.pending.Tries[p.code.lookupID] >= maxTries {
		return p.noTriesLeftError()
	}
	l, err := p.Dialer.Dial(ctx, p.Endpoint, p.code.tlsConfig(p.Now))
	if err != nil {
		return classifyDialError(err)
	}
	defer l.Close()
	client := gatewayv1.NewPairingServiceClient(l.Conn)
	agent, err := pairing.NewAgent(pairing.PasswordScalar(p.code.lookupID, p.code.secret), p.Rand)
	if err != nil {
		return err
	}
	beginResponse, err := p.beginExchange(ctx, client, agent)
	if err != nil {
		return p.classifyError(l, err)
	}
	p.Log.DebugContext(ctx, "pairing exchange begun", "endpoint", p.Endpoint)
	bundleSHA256 := hex.EncodeToString(beginResponse.GetBundleSha256())
	keys, err := agent.Finish(beginResponse.GetShare(), pairing.AAD(l.Exporter, p.code.lookupID, p.pin, bundleSHA256))
	if err != nil {
		return &finalError{ErrUnprovenGateway, err.Error()}
	}
	answer, err := p.sendConfirmation(ctx, client, l, beginResponse.GetSessionId(), keys)
	if err != nil {
		return p.classifyError(l, p.uncountTry(keys, err))
	}
	p.Log.DebugContext(ctx, "pairing answer received", "endpoint", p.Endpoint, "namespace", answer.GetNamespace(), "request", answer.GetName())
	return p.acceptAnswer(l, keys, answer, bundleSHA256)
}

func (p *pairer) beginExchange(ctx context.Context, client gatewayv1.PairingServiceClient, agent *pairing.Agent) (*gatewayv1.BeginPairingSessionResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return client.BeginPairingSession(ctx, &gatewayv1.BeginPairingSessionRequest{
		LookupId: p.code.lookupID,
		Share:    agent.Share(),
		NodeName: p.NodeName,
	})
}

// sendConfirmation counts the try on disk, then sends the confirmation.
func (p *pairer) sendConfirmation(ctx context.Context, client gatewayv1.PairingServiceClient, l *link.Link, sessionID string, keys *pairing.Keys) (*gatewayv1.CompletePairingSessionResponse, error) {
	request, err := p.newCompleteRequest(l)
	if err != nil {
		return nil, err
	}
	request.Evidence = &gatewayv1.CompletePairingSessionRequest_Code{Code: &gatewayv1.CodeConfirmation{
		SessionId:    sessionID,
		Confirmation: keys.Confirmation(),
	}}
	p.pending.Tries[p.code.lookupID]++
	if err := p.Store.SavePending(p.pending); err != nil {
		return nil, &finalError{ErrFailed, "count the try: " + err.Error()}
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return client.CompletePairingSession(ctx, request)
}

// uncountTry takes back the try that sendConfirmation counted, if the refusal proves that the
// gateway knows the code: such a gateway gains nothing from another confirmation. It returns the
// error of the refusal.
func (p *pairer) uncountTry(keys *pairing.Keys, refusalErr error) error {
	confirmation := codeConfirmation(refusalErr)
	if confirmation == nil || keys.VerifyPeer(confirmation) != nil {
		return refusalErr
	}
	p.pending.Tries[p.code.lookupID]--
	if err := p.Store.SavePending(p.pending); err != nil {
		return &finalError{ErrFailed, "take the try back: " + err.Error()}
	}
	return refusalErr
}

// noTriesLeftError returns ErrNoTriesLeft with the reason of the last refusal: the code may not be
// at fault.
func (p *pairer) noTriesLeftError() error {
	if p.lastRefusal == "" {
		return ErrNoTriesLeft
	}
	return &finalError{ErrNoTriesLeft, "the last try ended with: " + p.lastRefusal}
}

// newCompleteRequest returns the request with the facts of this machine and the proof that it holds
// its key.
func (p *pairer) newCompleteRequest(l *link.Link) (*gatewayv1.CompletePairingSessionRequest, error) {
	public, err := x509.MarshalPKIXPublicKey(&p.pending.Key.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("encode public key: %w", err)
	}
	proof, err := identity.SignProof(p.pending.Key, p.Rand, identity.Proof{Method: identity.ProofCompletePairing, Exporter: l.Exporter})
	if err != nil {
		return nil, err
	}
	return &gatewayv1.CompletePairingSessionRequest{
		PublicKey:             public,
		Proof:                 proof,
		NodeName:              p.NodeName,
		System:                p.System,
		RequestedCapabilities: p.Capabilities,
	}, nil
}

// classifyError separates final refusals from those after which the call may be repeated.
func (p *pairer) classifyError(l *link.Link, err error) error {
	classified := p.classifyRefusal(l, err)
	if remaining := maxTries - p.pending.Tries[p.code.lookupID]; errors.Is(classified, ErrWrongCode) && remaining > 0 {
		return fmt.Errorf("%w (this machine may try it %d more times)", classified, remaining)
	}
	return classified
}

func (p *pairer) classifyRefusal(l *link.Link, err error) error {
	if final := (*finalError)(nil); errors.As(err, &final) {
		return err
	}
	if refusal := (*link.Refusal)(nil); errors.As(l.RefusalError(), &refusal) && refusal.Alert {
		return &finalError{ErrFailed, fmt.Sprintf("%s refuses connections without a certificate (%s): is it the node listener instead of the pairing listener?", p.Endpoint, refusal)}
	}
	final := asFinalError(err)
	if final == nil {
		return &retryableError{err}
	}
	return final
}

// acceptAnswer stores the request of the answer. It first verifies the gateway's confirmation and
// the authenticity of every part of the answer.
func (p *pairer) acceptAnswer(l *link.Link, keys *pairing.Keys, answer *gatewayv1.CompletePairingSessionResponse, bundleSHA256 string) error {
	if err := keys.VerifyPeer(answer.GetConfirmation()); err != nil {
		return ErrUnprovenGateway
	}
	answerFields := pairing.Answer{
		TrustBundle: answer.GetTrustBundle(), Namespace: answer.GetNamespace(),
		Name: answer.GetName(), NodeEndpoint: answer.GetNodeEndpoint(),
	}
	if err := keys.VerifyAnswer(answer.GetMac(), answerFields); err != nil {
		return ErrUnprovenGateway
	}
	bundle, err := identity.ParseBundle(answer.GetTrustBundle())
	if err != nil {
		return &finalError{ErrFailed, err.Error()}
	}
	if bundle.SHA256() != bundleSHA256 {
		return &finalError{ErrFailed, "the gateway sent another CA bundle than it announced; try again"}
	}
	// This does not use the machine's clock: a PIN can be exchanged even when the clock is wrong.
	if err := l.CheckBundle(bundle, l.CertificateNotBefore()); err != nil {
		return &finalError{ErrFailed, foreign.BriefLine(err.Error())}
	}
	if _, err := pairing.ParseEndpoints(answer.GetNodeEndpoint()); err != nil {
		return &finalError{ErrFailed, "the gateway's node endpoint: " + err.Error()}
	}
	p.pending.Request = &store.Request{
		LookupID:        p.code.lookupID,
		PairingEndpoint: p.Endpoint,
		Namespace:       answer.GetNamespace(),
		Name:            answer.GetName(),
		NodeEndpoint:    answer.GetNodeEndpoint(),
		Bundle:          bundle,
		Expires:         answer.GetExpiresTime().AsTime(),
	}
	if err := p.Store.SavePending(p.pending); err != nil {
		return fmt.Errorf("store pairing request: %w", err)
	}
	return nil
}
