package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Methods a Proof may be made for: the RPC that carries it.
const (
	ProofCompletePairing = "CompletePairingSession"
	ProofPairingStatus   = "GetPairingRequestStatus"
	ProofRecover         = "RecoverCertificate"
	ProofRotate          = "RotateDeviceCertificate"
	ProofRevoke          = "RevokeDevicePairing"
)

const (
	proofDomain = "mooring device proof v1"
	// proofExporterLength is the size in bytes of the TLS exporter (pairing.ExporterLength).
	proofExporterLength = 32
)

var (
	// ErrIncompleteProof says that a Proof lacks what its method must cover.
	ErrIncompleteProof = errors.New("incomplete proof")
	// ErrBadProof says that a signature is not of that key over that Proof.
	ErrBadProof = errors.New("proof of possession does not match")
)

// Proof is what the device key signs to show that it is there, on this
// connection, for this call. Both sides fill it from what they see themselves.
type Proof struct {
	// Method is one of the constants above.
	Method string
	// Request is what the call is about: "namespace/name" of the PairingRequest for
	// ProofPairingStatus, the SPIFFE id for ProofRevoke (both required), else "".
	Request string
	// Exporter is the TLS exporter of the connection, 32 bytes.
	Exporter []byte
	// CertificateSHA256 is FingerprintCertificate of the certificate the call
	// leans on; required for ProofRecover, else "".
	CertificateSHA256 string
	// CSR is the request in DER that travels along (its hash is signed); required
	// for ProofRecover and ProofRotate, optional for ProofPairingStatus.
	CSR []byte
}

// SignProof signs p with the device key (ECDSA P-256): ASN.1 over SHA-256. rand is
// handed to the key.
func SignProof(key crypto.Signer, rand io.Reader, p Proof) ([]byte, error) {
	if _, err := p256(key.Public()); err != nil {
		return nil, fmt.Errorf("sign proof for %s: %w", p.Method, err)
	}
	digest, err := p.digest()
	if err != nil {
		return nil, fmt.Errorf("sign proof: %w", err)
	}
	signature, err := key.Sign(rand, digest, crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("sign proof for %s: %w", p.Method, err)
	}
	return signature, nil
}

// VerifyProof checks a signature of SignProof: nil, or an error that wraps
// ErrUnsupportedKey, ErrIncompleteProof or ErrBadProof.
func VerifyProof(pub crypto.PublicKey, p Proof, sig []byte) error {
	key, err := p256(pub)
	if err != nil {
		return fmt.Errorf("verify proof: %w", err)
	}
	digest, err := p.digest()
	if err != nil {
		return fmt.Errorf("verify proof: %w", err)
	}
	if !ecdsa.VerifyASN1(key, digest, sig) {
		return fmt.Errorf("verify proof for %s: %w", p.Method, ErrBadProof)
	}
	return nil
}

// digest is SHA-256 over the domain and every field, each after its length (8
// bytes, little endian): no field can pass for another. An absent CSR is an empty
// field, a present one its SHA-256.
func (p Proof) digest() ([]byte, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	var request []byte
	if len(p.CSR) > 0 {
		sum := sha256.Sum256(p.CSR)
		request = sum[:]
	}
	var message []byte
	for _, part := range [][]byte{[]byte(proofDomain), []byte(p.Method), []byte(p.Request), p.Exporter, []byte(p.CertificateSHA256), request} {
		message = binary.LittleEndian.AppendUint64(message, uint64(len(part)))
		message = append(message, part...)
	}
	sum := sha256.Sum256(message)
	return sum[:], nil
}

// check refuses a proof that would cover less than its method needs.
func (p Proof) check() error {
	if len(p.Exporter) != proofExporterLength {
		return fmt.Errorf("%w: the TLS exporter has %d bytes, want %d", ErrIncompleteProof, len(p.Exporter), proofExporterLength)
	}
	switch p.Method {
	case ProofCompletePairing:
		return nil
	case ProofPairingStatus:
		if p.Request == "" {
			return fmt.Errorf("%w: %s needs the request's namespace/name", ErrIncompleteProof, p.Method)
		}
		return nil
	case ProofRevoke:
		if p.Request == "" {
			return fmt.Errorf("%w: %s needs the SPIFFE id of the machine", ErrIncompleteProof, p.Method)
		}
		return nil
	case ProofRecover:
		if p.CertificateSHA256 == "" || len(p.CSR) == 0 {
			return fmt.Errorf("%w: %s needs the certificate's fingerprint and the CSR", ErrIncompleteProof, p.Method)
		}
		return nil
	case ProofRotate:
		if len(p.CSR) == 0 {
			return fmt.Errorf("%w: %s needs the CSR", ErrIncompleteProof, p.Method)
		}
		return nil
	default:
		return fmt.Errorf("%w: unknown method %q", ErrIncompleteProof, clip(p.Method))
	}
}
