package identity

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

const (
	certificateBlock = "CERTIFICATE"
	csrBlock         = "CERTIFICATE REQUEST"
	publicKeyBlock   = "PUBLIC KEY"
)

// MarshalCertificatesPEM encodes certificates in PEM, one block after another.
func MarshalCertificatesPEM(certificates ...*x509.Certificate) []byte {
	var text []byte
	for _, certificate := range certificates {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: certificateBlock, Bytes: certificate.Raw})...)
	}
	return text
}

// MarshalCSRPEM encodes a certificate request, which is in DER, in PEM.
func MarshalCSRPEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: csrBlock, Bytes: der})
}

// ParseChainPEM reads a chain of one to eight certificates in PEM, leaf first. It skips text between
// the blocks, and rejects the whole chain for a damaged block or a block of another type. Its error
// is a *CertificateError.
func ParseChainPEM(text []byte) ([]*x509.Certificate, error) {
	ders, err := decodeCertificatesPEM(text)
	if err != nil {
		return nil, certificateErrorf(ReasonMalformedChain, "%v", err)
	}
	return ParseChain(ders)
}

// decodeCertificatesPEM returns the contents of the blocks of text, which must all hold
// certificates. pem.Decode skips blocks that it cannot read, so decodeCertificatesPEM counts the
// beginnings of blocks.
func decodeCertificatesPEM(text []byte) ([][]byte, error) {
	var ders [][]byte
	for range bytes.Count(text, []byte("-----BEGIN")) {
		block, rest := pem.Decode(text)
		if block == nil {
			return nil, errors.New("a PEM block is damaged")
		}
		if block.Type != certificateBlock {
			return nil, fmt.Errorf("it holds a PEM block %q, only %q is allowed", truncate(block.Type), certificateBlock)
		}
		ders, text = append(ders, block.Bytes), rest
	}
	return ders, nil
}
