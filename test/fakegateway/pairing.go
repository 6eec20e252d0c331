package fakegateway

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/internal/pairing"
)

// Code is the pairing code that every gateway of this package accepts.
var Code = pairing.Code{LookupID: "K7QX2M", PIN: "482913"}

// A QR code of such a gateway holds these values, its address and its CA.
const (
	qrLookupID = "8N3TCW"
	qrSecret   = "5d1f0c8ba37e42961c0d9f3b7a2e6458"
)

// Invitation returns the content of a QR code of this gateway, whose secret the gateway accepts.
func (g *Gateway) Invitation() pairing.Invitation {
	return pairing.Invitation{
		Gateway: g.PairingEndpoint, LookupID: qrLookupID, Secret: qrSecret, CASHA256: g.ServerCA.Pin(),
	}
}

// Pairing is the pairing listener. Tests set its fields before the agent calls.
type Pairing struct {
	gatewayv1.UnimplementedPairingServiceServer
	t       testing.TB
	gateway *Gateway

	// Begin, Complete, Recover and Status, when set, may answer or refuse instead.
	Begin    func() error
	Complete func(*gatewayv1.CompletePairingSessionResponse) (*gatewayv1.CompletePairingSessionResponse, error)
	Recover  func() error
	Status   func(poll int, csr []byte) (*gatewayv1.GetPairingRequestStatusResponse, error)
	// Bundle returns the CA bundle that machines receive; by default it holds the CA of this
	// gateway.
	Bundle func() identity.Bundle

	mu            sync.Mutex
	exchanges     map[string]*exchange
	confirmations int
	polls         int
	publicKey     []byte
}

type exchange struct {
	side     *pairing.Gateway
	share    []byte
	lookupID string
	exporter string
}

func newPairing(t testing.TB, g *Gateway) *Pairing {
	return &Pairing{
		t: t, gateway: g, exchanges: map[string]*exchange{},
		Bundle: func() identity.Bundle { return g.ServerCA.Bundle(t) },
	}
}

// Confirmations returns the number of confirmations that agents sent.
func (p *Pairing) Confirmations() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.confirmations
}

// BeginPairingSession runs the gateway's half of the exchange.
func (p *Pairing) BeginPairingSession(ctx context.Context, request *gatewayv1.BeginPairingSessionRequest) (*gatewayv1.BeginPairingSessionResponse, error) {
	if p.Begin != nil {
		if err := p.Begin(); err != nil {
			return nil, err
		}
	}
	_, exporter, err := connectionState(ctx)
	if err != nil {
		return nil, err
	}
	password := pairing.PasswordScalar(Code.LookupID, Code.PIN)
	if request.GetLookupId() == qrLookupID {
		password = pairing.PasswordScalar(qrLookupID, qrSecret)
	}
	side, err := pairing.NewGateway(password, rand.Reader)
	if err != nil {
		return nil, err
	}
	id := rand.Text()
	p.mu.Lock()
	p.exchanges[id] = &exchange{side: side, share: request.GetShare(), lookupID: request.GetLookupId(), exporter: string(exporter)}
	p.mu.Unlock()
	bundle, err := hex.DecodeString(p.Bundle().SHA256())
	return &gatewayv1.BeginPairingSessionResponse{SessionId: id, Share: side.Share(), BundleSha256: bundle}, err
}

// CompletePairingSession verifies the agent and answers for request fleet/request.
func (p *Pairing) CompletePairingSession(ctx context.Context, request *gatewayv1.CompletePairingSessionRequest) (*gatewayv1.CompletePairingSessionResponse, error) {
	_, exporter, err := connectionState(ctx)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	p.confirmations++
	pending := p.exchanges[request.GetCode().GetSessionId()]
	delete(p.exchanges, request.GetCode().GetSessionId())
	p.mu.Unlock()
	if pending == nil || pending.exporter != string(exporter) {
		return nil, status.Error(codes.FailedPrecondition, "no such session on this connection")
	}
	public, err := identity.ParsePublicKeyDER(request.GetPublicKey())
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	if err := identity.VerifyProof(public, identity.Proof{Method: identity.ProofCompletePairing, Exporter: exporter}, request.GetProof()); err != nil {
		return nil, status.Error(codes.Unauthenticated, err.Error())
	}
	bundle := p.Bundle()
	keys, err := pending.side.Finish(pending.share, pairing.AAD(exporter, pending.lookupID, identity.FingerprintSPKIDER(request.GetPublicKey()), bundle.SHA256()))
	if err != nil || keys.VerifyPeer(request.GetCode().GetConfirmation()) != nil {
		return nil, status.Error(codes.Unauthenticated, "the pairing code is not accepted")
	}
	p.mu.Lock()
	p.publicKey = request.GetPublicKey()
	p.mu.Unlock()
	answerFields := pairing.Answer{TrustBundle: bundle.PEM(), Namespace: "fleet", Name: "request", NodeEndpoint: p.gateway.NodeEndpoint}
	answer := &gatewayv1.CompletePairingSessionResponse{
		Confirmation: keys.Confirmation(), Namespace: answerFields.Namespace, Name: answerFields.Name, NodeEndpoint: answerFields.NodeEndpoint,
		TrustBundle: answerFields.TrustBundle, Mac: keys.MACAnswer(answerFields), ExpiresTime: timestamppb.New(time.Now().Add(time.Hour)),
	}
	if p.Complete != nil {
		return p.Complete(answer)
	}
	return answer, nil
}

// GetPairingRequestStatus checks the proof and lets Status answer. Without an answer it approves
// every request at once for Node "box".
func (p *Pairing) GetPairingRequestStatus(ctx context.Context, request *gatewayv1.GetPairingRequestStatusRequest) (*gatewayv1.GetPairingRequestStatusResponse, error) {
	_, exporter, err := connectionState(ctx)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	key := p.publicKey
	p.polls++
	poll := p.polls
	p.mu.Unlock()
	public, err := identity.ParsePublicKeyDER(key)
	if err != nil {
		return nil, status.Error(codes.NotFound, "no such request")
	}
	proof := identity.Proof{
		Method: identity.ProofPairingStatus, Request: request.GetNamespace() + "/" + request.GetName(),
		Exporter: exporter, CSR: request.GetCsr(),
	}
	if err := identity.VerifyProof(public, proof, request.GetProof()); err != nil {
		return nil, status.Error(codes.Unauthenticated, err.Error())
	}
	if p.Status != nil {
		if answer, err := p.Status(poll, request.GetCsr()); answer != nil || err != nil {
			return answer, err
		}
	}
	if len(request.GetCsr()) == 0 {
		return &gatewayv1.GetPairingRequestStatusResponse{State: &gatewayv1.GetPairingRequestStatusResponse_Approved{
			Approved: &gatewayv1.PairingApproved{SpiffeId: ID("box").URI()},
		}}, nil
	}
	if err := identity.ValidateCSR(request.GetCsr(), ID("box"), identity.FingerprintSPKIDER(key)); err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	leaf := p.gateway.DeviceCA.IssueDevice(p.t, ID("box"), public, p.gateway.Node.CertificateLifetime)
	return &gatewayv1.GetPairingRequestStatusResponse{State: &gatewayv1.GetPairingRequestStatusResponse_Completed{
		Completed: &gatewayv1.PairingCompleted{Chain: [][]byte{leaf.Raw}, TrustBundle: p.Bundle().PEM()},
	}}, nil
}

// RecoverCertificate checks the proof and renews the certificate.
func (p *Pairing) RecoverCertificate(ctx context.Context, request *gatewayv1.RecoverCertificateRequest) (*gatewayv1.RecoverCertificateResponse, error) {
	if p.Recover != nil {
		if err := p.Recover(); err != nil {
			return nil, err
		}
	}
	_, exporter, err := connectionState(ctx)
	if err != nil {
		return nil, err
	}
	chain, err := identity.ParseChain(request.GetChain())
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	lapsed, err := identity.VerifyExpiredPeer(chain, p.gateway.DeviceCA.Bundle(p.t).Pool(), TrustDomain, p.gateway.Now())
	if err != nil {
		return nil, status.Error(codes.PermissionDenied, err.Error())
	}
	proof := identity.Proof{
		Method: identity.ProofRecover, Exporter: exporter,
		CertificateSHA256: identity.FingerprintCertificate(chain[0]), CSR: request.GetCsr(),
	}
	if err := identity.VerifyProof(chain[0].PublicKey, proof, request.GetProof()); err != nil {
		return nil, status.Error(codes.Unauthenticated, err.Error())
	}
	if err := identity.ValidateCSR(request.GetCsr(), lapsed.ID, lapsed.PublicKeySHA256); err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	public, err := identity.ParsePublicKeyDER(chain[0].RawSubjectPublicKeyInfo)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	leaf := p.gateway.DeviceCA.IssueDevice(p.t, lapsed.ID, public, p.gateway.Node.CertificateLifetime)
	return &gatewayv1.RecoverCertificateResponse{Chain: [][]byte{leaf.Raw}, TrustBundle: p.Bundle().PEM()}, nil
}

// CertificateNotExpired returns the denial of a recovery whose certificate is still valid by the
// clock of the gateway.
func CertificateNotExpired(t testing.TB) error {
	t.Helper()
	denial, err := status.New(codes.FailedPrecondition, "the clock of the machine is ahead").WithDetails(&errdetails.ErrorInfo{
		Reason:   gatewayv1.ReasonCertificateNotExpired,
		Metadata: map[string]string{gatewayv1.MetadataGatewayTime: time.Now().UTC().Format(time.RFC3339)}})
	if err != nil {
		t.Fatal(err)
	}
	return denial.Err()
}
