// Package identity defines and verifies the identity of a machine. It covers the SPIFFE id in a
// certificate, the fingerprints that pin a key, the certificate request, the issued certificate,
// and the checks at both ends of a connection.
//
// The pin (SHA-256 of the device's SubjectPublicKeyInfo) is the identity. A signature of the device
// CA alone is never sufficient, so every check here takes or returns the pin.
//
// All input comes from untrusted peers: parsers are strict and sizes are bounded. Each refusal is a
// [CSRError] or a [CertificateError]. Its Reason is a constant of this package, for conditions,
// counters and logs; its Detail is for people. The package is pure: no clock, no network, no
// goroutines.
package identity
