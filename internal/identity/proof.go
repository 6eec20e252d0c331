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

// The methods of a Proof are the RPCs that carry it.
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
	// ErrIncompleteProof means that a Proof lacks a field that its method must cover.
	ErrIncompleteProof = errors.New("incomplete proof")
	// ErrBadProof means that a signature does not belong to that key and that Proof.
	ErrBadProof = errors.New("proof of possession does not match")
)

// Proof holds the values that the device key signs, to show its possession on this connection for
// this call. Each side fills it with its own observations.
type Proof struct {
	// Method is one of the constants above.
	Method string
	// Request is the subject of the call: "namespace/name" of the PairingRequest for
	// ProofPairingStatus, the SPIFFE id for ProofRevoke (both required), else "".
	Request string
	// Exporter is the TLS exporter of the connection, 32 bytes.
	Exporter []byte
	// CertificateSHA256 is the FingerprintCertificate of the certificate that the call relies on;
	// required for ProofRecover, else "".
	CertificateSHA256 string
	// CSR is the request in DER that the call carries; its hash is signed. It is required for
	// ProofRecover and ProofRotate, and optional for ProofPairingStatus.
	CSR []byte
}

// SignProof signs p with the device key (ECDSA P-256): ASN.1 over SHA-256. rand is passed to the
// key.
func SignProof(key crypto.Signer, rand io.Reader, p Proof) ([]byte, error) {
	if _, err := asP256Key(key.Public()); err != nil {
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

// VerifyProof checks a signature of SignProof. Its error wraps ErrUnsupportedKey,
// ErrIncompleteProof or ErrBadProof.
func VerifyProof(pub crypto.PublicKey, p Proof, sig []byte) error {
	key, err := asP256Key(pub)
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

// digest returns the SHA-256 over the domain and every field. Each part follows its length (8
// bytes, little endian), so that no field can be confused with another. An absent CSR is an empty
// field, a present one is its SHA-256.
func (p Proof) digest() ([]byte, error) {
	if err := p.validate(); err != nil {
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

// validate rejects a proof that does not cover all fields that its method needs.
func (p Proof) validate() error {
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
		return fmt.Errorf("%w: unknown method %q", ErrIncompleteProof, truncate(p.Method))
	}
}
