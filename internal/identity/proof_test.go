package identity

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"strings"
	"testing"
)

var (
	exporter  = bytes.Repeat([]byte{9}, 32)
	someHash  = strings.Repeat("ab", 32)
	someCSR   = []byte("request")
	allProofs = map[string]Proof{
		"complete":        {Method: ProofCompletePairing, Exporter: exporter},
		"status":          {Method: ProofPairingStatus, Request: "fleet-a/press-7", Exporter: exporter},
		"status with CSR": {Method: ProofPairingStatus, Request: "fleet-a/press-7", Exporter: exporter, CSR: someCSR},
		"recover":         {Method: ProofRecover, Exporter: exporter, CertificateSHA256: someHash, CSR: someCSR},
		"rotate":          {Method: ProofRotate, Exporter: exporter, CSR: someCSR},
		"revoke":          {Method: ProofRevoke, Request: "spiffe://mooring.test/ns/fleet-a/node/press-7", Exporter: exporter},
	}
)

func TestProofHoldsForItselfAlone(t *testing.T) {
	key := newKey(t)
	for name, p := range allProofs {
		sig, err := SignProof(key, rand.Reader, p)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for otherName, other := range allProofs {
			err := VerifyProof(key.Public(), other, sig)
			if name == otherName && err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if name != otherName && !errors.Is(err, ErrBadProof) {
				t.Errorf("proof for %s verified for %s: %v, want ErrBadProof", name, otherName, err)
			}
		}
	}
}

func TestProofFailsWhenAnythingChanges(t *testing.T) {
	key := newKey(t)
	p := allProofs["recover"]
	p.Request = "a/b"
	sig, err := SignProof(key, rand.Reader, p)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Proof){
		"method":            func(p *Proof) { p.Method = ProofRotate },
		"request":           func(p *Proof) { p.Request = "a/c" },
		"no request":        func(p *Proof) { p.Request = "" },
		"exporter":          func(p *Proof) { p.Exporter = bytes.Repeat([]byte{8}, 32) },
		"certificate":       func(p *Proof) { p.CertificateSHA256 = strings.Repeat("cd", 32) },
		"CSR":               func(p *Proof) { p.CSR = []byte("requesT") },
		"a byte moved over": func(p *Proof) { p.Request, p.CertificateSHA256 = "a/b"+someHash[:1], someHash[1:] },
	} {
		changed := p
		change(&changed)
		if err := VerifyProof(key.Public(), changed, sig); !errors.Is(err, ErrBadProof) {
			t.Errorf("%s: %v, want ErrBadProof", name, err)
		}
	}
	for name, wrong := range map[string][]byte{"nothing": nil, "flipped": flipLastBit(sig), "cut": sig[:len(sig)-1], "longer": append(bytes.Clone(sig), 0)} {
		if err := VerifyProof(key.Public(), p, wrong); !errors.Is(err, ErrBadProof) {
			t.Errorf("signature %s: %v, want ErrBadProof", name, err)
		}
	}
	if err := VerifyProof(newKey(t).Public(), p, sig); !errors.Is(err, ErrBadProof) {
		t.Errorf("another key: %v, want ErrBadProof", err)
	}
}

func TestProofThatCoversTooLittleIsNeitherMadeNorTaken(t *testing.T) {
	key := newKey(t)
	for name, p := range map[string]Proof{
		"no method":                   {Exporter: exporter},
		"unknown method":              {Method: "Shutdown", Exporter: exporter},
		"no exporter":                 {Method: ProofCompletePairing},
		"short exporter":              {Method: ProofCompletePairing, Exporter: exporter[:31]},
		"status without request":      {Method: ProofPairingStatus, Exporter: exporter},
		"recover without CSR":         {Method: ProofRecover, Exporter: exporter, CertificateSHA256: someHash},
		"recover without certificate": {Method: ProofRecover, Exporter: exporter, CSR: someCSR},
		"rotate without CSR":          {Method: ProofRotate, Exporter: exporter},
		"revoke without id":           {Method: ProofRevoke, Exporter: exporter},
	} {
		if sig, err := SignProof(key, rand.Reader, p); !errors.Is(err, ErrIncompleteProof) || sig != nil {
			t.Errorf("sign, %s: %v, want ErrIncompleteProof", name, err)
		}
		if err := VerifyProof(key.Public(), p, []byte{1}); !errors.Is(err, ErrIncompleteProof) {
			t.Errorf("verify, %s: %v, want ErrIncompleteProof", name, err)
		}
	}
}

func TestProofNeedsAKeyOnP256(t *testing.T) {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := SignProof(p384, rand.Reader, allProofs["complete"]); !errors.Is(err, ErrUnsupportedKey) {
		t.Errorf("sign: %v, want ErrUnsupportedKey", err)
	}
	if err := VerifyProof(p384.Public(), allProofs["complete"], []byte{1}); !errors.Is(err, ErrUnsupportedKey) {
		t.Errorf("verify: %v, want ErrUnsupportedKey", err)
	}
}
