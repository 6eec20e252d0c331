// Package pairing implements the cryptography of the first contact: the pairing code that a person
// types, the URI in a QR code, and the SPAKE2 exchange. In this exchange (RFC 9382, P-256, SHA-256,
// HKDF, HMAC) a machine and a gateway prove to each other that they know the same secret without
// disclosing it.
//
// One exchange runs in this order:
//
//	agent                                   gateway
//	w = PasswordScalar(lookupID, secret)    w from the code's record
//	a = NewAgent(w)                         g = NewGateway(w)
//	a.Share()            ------------->
//	                     <-------------     g.Share(), SHA-256 of the bundle
//	aad = AAD(exporter, lookupID, key, bundle), the same on both sides
//	keys = a.Finish(gShare, aad)
//	keys.Confirmation()  ------------->     keys = g.Finish(aShare, aad)
//	                                        keys.VerifyPeer(confirmation)
//	                     <-------------     keys.Confirmation(), keys.MAC(...)
//	keys.VerifyPeer(confirmation), keys.VerifyMAC(...)
//
// Invariants: the agent confirms first. No message is a function of only the secret. Nothing
// received is trusted before VerifyPeer. The callers on both sides must count the attempts, and
// must do so before the verification.
//
// The package is pure: no clock, no goroutines, no network; randomness is a parameter.
package pairing

// ExporterLabel and ExporterLength are the label and the size in bytes of the TLS exporter (RFC
// 8446, section 7.5; empty context). The exporter binds an exchange and every proof to one
// connection.
const (
	ExporterLabel  = "EXPORTER-mooring-pairing-v1"
	ExporterLength = 32
)
