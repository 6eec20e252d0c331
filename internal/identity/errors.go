package identity

import "fmt"

// Reasons of a [CSRError], in the order in which [ValidateCSR] tests them.
const (
	ReasonInvalidIdentity      = "InvalidIdentity"      // the wanted identity itself is malformed
	ReasonRequestTooLarge      = "RequestTooLarge"      // over [MaxCSRBytes]
	ReasonMalformedRequest     = "MalformedRequest"     // not the DER of a PKCS#10 version 1 request
	ReasonTrailingData         = "TrailingData"         // bytes after the request
	ReasonUnsupportedSignature = "UnsupportedSignature" // not ecdsa-with-SHA256
	ReasonSubjectNotEmpty      = "SubjectNotEmpty"      // any subject at all; also a CertificateError
	ReasonUnsupportedKey       = "UnsupportedKey"       // not ECDSA P-256; also a CertificateError
	ReasonKeyMismatch          = "KeyMismatch"          // not the pinned key; also a CertificateError
	ReasonUnexpectedAttribute  = "UnexpectedAttribute"  // anything but one extensionRequest
	ReasonUnexpectedExtension  = "UnexpectedExtension"  // anything but one subjectAltName
	ReasonUnexpectedName       = "UnexpectedName"       // a SAN that is not a single URI; also a CertificateError
	ReasonWrongIdentity        = "WrongIdentity"        // a URI other than the wanted one; also a CertificateError
	ReasonBadSignature         = "BadSignature"         // not signed by its own key
)

// Further reasons of a CertificateError.
const (
	ReasonNoCertificate      = "NoCertificate"      // an empty chain
	ReasonMalformedChain     = "MalformedChain"     // not certificates, or too many of them
	ReasonUntrusted          = "Untrusted"          // does not chain to the expected CA
	ReasonExpired            = "Expired"            // past NotAfter
	ReasonNotYetValid        = "NotYetValid"        // NotBefore further ahead than the leeway
	ReasonLifetimeTooLong    = "LifetimeTooLong"    // over MaxLeafLifetime, or beyond its CA's end
	ReasonWrongUsage         = "WrongUsage"         // not exactly the wanted extended key usage, or a CA
	ReasonForeignTrustDomain = "ForeignTrustDomain" // the id of another installation
	ReasonWrongServerName    = "WrongServerName"    // a server certificate not for ServerName
	ReasonPinnedCANotPresent = "PinnedCANotPresent" // the server did not send the CA the QR code pins
	ReasonRecoveryTooLate    = "RecoveryTooLate"    // expired for longer than RecoveryGrace
)

// CSRError is the refusal of a certificate request. It is final: the same bytes will never be
// accepted for that identity and key.
type CSRError struct {
	// Reason is one of the constants above, in CamelCase. Their number is bounded.
	Reason string
	// Detail is for people; it may contain a shortened quotation from the request.
	Detail string
}

func (e *CSRError) Error() string {
	return fmt.Sprintf("certificate request refused: %s: %s", e.Reason, e.Detail)
}

// CertificateError is the refusal of a presented or an issued certificate.
type CertificateError struct {
	// Reason is one of the constants above, in CamelCase. Their number is bounded.
	Reason string
	// Detail is for people; it may contain a shortened quotation from the certificate.
	Detail string
	// Cause is the error of the verifier; nil if there is none.
	Cause error
}

func (e *CertificateError) Error() string {
	return fmt.Sprintf("certificate refused: %s: %s", e.Reason, e.Detail)
}

// Unwrap returns the error of the verifier.
func (e *CertificateError) Unwrap() error { return e.Cause }

func csrErrorf(reason, format string, args ...any) error {
	return &CSRError{Reason: reason, Detail: fmt.Sprintf(format, args...)}
}

func certificateErrorf(reason, format string, args ...any) error {
	return &CertificateError{Reason: reason, Detail: fmt.Sprintf(format, args...)}
}
