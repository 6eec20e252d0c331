// Package pairing is the cryptography of first contact: the pairing code a
// person types, the URI a QR code holds, and the SPAKE2 exchange (RFC 9382,
// P-256, SHA-256, HKDF, HMAC) in which a machine and a gateway prove to each
// other that they know the same secret without showing it.
//
// One exchange, in the order the wire runs it:
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
// Invariants: the agent confirms first; no message is a function of the secret
// alone; nothing received is trusted before VerifyPeer. Counting tries is the
// caller's part, on both sides and before the verification.
//
// The package is pure: no clock, no goroutines, no network; randomness is a
// parameter.
package pairing

// ExporterLabel and ExporterLength are the label and size in bytes of the TLS
// exporter (RFC 8446, section 7.5; empty context) that binds an exchange and
// every proof to one connection.
const (
	ExporterLabel  = "EXPORTER-mooring-pairing-v1"
	ExporterLength = 32
)
