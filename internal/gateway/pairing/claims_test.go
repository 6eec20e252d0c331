package pairing

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"testing"

	"github.com/google/go-cmp/cmp"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/foreign/corpus"
	"github.com/mooring-dev/mooring/internal/gateway/nodestatus"
	"github.com/mooring-dev/mooring/internal/identity"
)

// A person approves a machine by its host name, and then looks for that name in the list of Nodes.
func TestAPairingRequestAndItsNodeShowTheSameHostName(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	proof, err := identity.SignProof(key, rand.Reader, identity.Proof{Method: identity.ProofCompletePairing, Exporter: unknownConnection.Exporter})
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{"no-break space": "Ann's\u00a0laptop", "private use": "box\ue000", "em space": "a\u2003b"}
	for name, text := range corpus.Texts {
		texts[name] = text
	}
	for name, text := range texts {
		t.Run(name, func(t *testing.T) {
			system := &gatewayv1.SystemInfo{Os: text, Arch: text, Platform: text, Hostname: text, KernelVersion: text, OsImage: text, AgentVersion: text}
			claims, err := readMachineClaims(unknownConnection, &gatewayv1.CompletePairingSessionRequest{PublicKey: der, Proof: proof, NodeName: "box", System: system})
			if err != nil {
				t.Fatal(err)
			}
			node, err := nodestatus.NewDescription(&gatewayv1.RegisterNodeRequest{System: system}, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(claims.system, node.System); diff != "" {
				t.Errorf("(-PairingRequest +Node):\n%s", diff)
			}
		})
	}
}
