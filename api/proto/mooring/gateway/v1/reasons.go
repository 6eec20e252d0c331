package gatewayv1

// Reasons of google.rpc.ErrorInfo in the refusals of a gateway, and the keys of its metadata. Older
// peers ignore them.
const (
	// ReasonCodeVerified means that CompletePairingSession verified the code of the machine and
	// refuses for another reason, which costs no try. MetadataConfirmation proves it.
	ReasonCodeVerified = "CODE_VERIFIED"
	// MetadataConfirmation is the gateway's confirmation of the exchange, in hex.
	MetadataConfirmation = "confirmation"

	// ReasonCertificateNotExpired means that RecoverCertificate was called with a certificate that
	// is valid by the clock of the gateway. MetadataGatewayTime holds the time of that clock.
	ReasonCertificateNotExpired = "CERTIFICATE_NOT_EXPIRED"
	// MetadataGatewayTime is the time of the gateway, RFC 3339.
	MetadataGatewayTime = "gatewayTime"
)
