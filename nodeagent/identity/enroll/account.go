package enroll

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/foreign"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/internal/pairing"
	"github.com/mooring-dev/mooring/nodeagent/identity/store"
	"github.com/mooring-dev/mooring/nodeagent/ownfile"
	"github.com/mooring-dev/mooring/nodeagent/transport/link"
)

// maxTokenBytes is more than the size of any token: a longer file is another file.
const maxTokenBytes = 16 << 10

// ServiceAccount is the ServiceAccount of an agent in a pod, used instead of a code.
type ServiceAccount struct {
	// TokenFile holds the token of the pod's ServiceAccount. It is read again for every try,
	// because it is replaced before it expires. No error contains its content.
	TokenFile string
	// CA is the mounted CA bundle: the token is sent only to a gateway with a certificate of this
	// CA.
	CA identity.Bundle
}

func (a *ServiceAccount) readToken() (string, error) {
	content, err := ownfile.Read(a.TokenFile)
	if err != nil {
		return "", fmt.Errorf("read ServiceAccount token: %w", err)
	}
	token := strings.TrimSpace(string(content))
	if token == "" || len(content) > maxTokenBytes {
		return "", fmt.Errorf("%s holds no ServiceAccount token: it is empty or longer than %d bytes", a.TokenFile, maxTokenBytes)
	}
	return token, nil
}

// sendToken sends the token once, to a gateway that the mounted CA certifies, and stores the
// resulting request.
func (p *pairer) sendToken(ctx context.Context) error {
	token, err := p.ServiceAccount.readToken()
	if err != nil {
		return &finalError{ErrFailed, err.Error()}
	}
	l, err := p.Dialer.Dial(ctx, p.Endpoint, link.TLSConfig(p.ServiceAccount.CA, nil, p.Now))
	if err != nil {
		return classifyAccountDialError(err)
	}
	defer l.Close()
	request, err := p.newCompleteRequest(l)
	if err != nil {
		return err
	}
	request.Evidence = &gatewayv1.CompletePairingSessionRequest_ServiceAccount{
		ServiceAccount: &gatewayv1.ServiceAccountToken{Token: token},
	}
	calling, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	answer, err := gatewayv1.NewPairingServiceClient(l.Conn).CompletePairingSession(calling, request)
	if err != nil {
		return p.classifyAccountError(l, err)
	}
	return p.storeAccountRequest(answer)
}

// classifyAccountDialError returns a final error for a server of another CA, and a retryable error
// for a failure that may pass.
func classifyAccountDialError(err error) error {
	classified := classifyDialError(err)
	if final := (*finalError)(nil); errors.As(classified, &final) {
		return &finalError{ErrUnknownGateway, final.detail}
	}
	return classified
}

func (p *pairer) classifyAccountError(l *link.Link, err error) error {
	switch status.Code(err) {
	case codes.Unauthenticated, codes.PermissionDenied, codes.AlreadyExists:
		return &finalError{ErrAccountRefused, foreign.BriefLine(status.Convert(err).Message())}
	default:
		return p.classifyRefusal(l, err)
	}
}

// storeAccountRequest stores the request with the mounted CA. It relies on the server's certificate
// for the authenticity of the answer.
func (p *pairer) storeAccountRequest(answer *gatewayv1.CompletePairingSessionResponse) error {
	if _, err := pairing.ParseEndpoints(answer.GetNodeEndpoint()); err != nil {
		return &finalError{ErrFailed, "the gateway's node endpoint: " + err.Error()}
	}
	p.pending.Request = &store.Request{
		PairingEndpoint: p.Endpoint,
		Namespace:       answer.GetNamespace(),
		Name:            answer.GetName(),
		NodeEndpoint:    answer.GetNodeEndpoint(),
		Bundle:          p.ServiceAccount.CA,
		Expires:         answer.GetExpiresTime().AsTime(),
	}
	if err := p.Store.SavePending(p.pending); err != nil {
		return fmt.Errorf("store pairing request: %w", err)
	}
	return nil
}
