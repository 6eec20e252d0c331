package fakegateway

import (
	"context"
	"crypto/x509"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/identity"
)

// pins are the key fingerprints of the one Node: the pinned key and the next one.
type pins struct {
	mu        sync.Mutex
	pin, next string
	rotations int
}

// accept reports whether the Node accepts the key. The first key that arrives becomes the pin; a
// next key replaces the pin when it is used.
func (p *pins) accept(leaf *x509.Certificate) bool {
	key := identity.FingerprintSPKIDER(leaf.RawSubjectPublicKeyInfo)
	p.mu.Lock()
	defer p.mu.Unlock()
	switch key {
	case p.pin:
		return true
	case p.next:
		p.pin, p.next = key, ""
		p.rotations++
		return true
	}
	if p.pin == "" {
		p.pin = key
	}
	return p.pin == key
}

func (p *pins) setNext(next string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next = next
}

// DropNextKey drops the next key, as a restore of the cluster from a backup does.
func (n *Node) DropNextKey() { n.pins.setNext("") }

// Rotations returns how often a next key became the pin.
func (n *Node) Rotations() int {
	n.pins.mu.Lock()
	defer n.pins.mu.Unlock()
	return n.pins.rotations
}

// RotateDeviceCertificate renews the certificate. With a proof of the caller's key it also accepts
// a next key.
func (n *Node) RotateDeviceCertificate(ctx context.Context, request *gatewayv1.RotateDeviceCertificateRequest) (*gatewayv1.RotateDeviceCertificateResponse, error) {
	state, exporter, err := connectionState(ctx)
	if err != nil {
		return nil, err
	}
	leaf := state.PeerCertificates[0]
	if n.gateway.Now().After(leaf.NotAfter) {
		return nil, status.Error(codes.Unauthenticated, "the certificate of this connection expired")
	}
	csr, err := x509.ParseCertificateRequest(request.GetCsr())
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	key := identity.FingerprintSPKIDER(csr.RawSubjectPublicKeyInfo)
	if key != identity.FingerprintSPKIDER(leaf.RawSubjectPublicKeyInfo) {
		proof := identity.Proof{Method: identity.ProofRotate, Exporter: exporter, CSR: request.GetCsr()}
		if err := identity.VerifyProof(leaf.PublicKey, proof, request.GetProof()); err != nil {
			return nil, status.Error(codes.Unauthenticated, err.Error())
		}
		if n.Rotate != nil {
			if err := n.Rotate(); err != nil {
				return nil, err
			}
		}
		n.pins.setNext(key)
	}
	if err := identity.ValidateCSR(request.GetCsr(), ID("box"), key); err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	public, err := identity.ParsePublicKeyDER(csr.RawSubjectPublicKeyInfo)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	next := n.gateway.DeviceCA.IssueDevice(n.t, ID("box"), public, n.CertificateLifetime)
	return &gatewayv1.RotateDeviceCertificateResponse{Chain: [][]byte{next.Raw}}, nil
}
