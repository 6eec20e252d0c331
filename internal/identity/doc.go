// Package identity says who a machine is: the SPIFFE id in its certificate, the
// fingerprints that pin its key, the certificate request it may make, the
// certificate it may be given, and the checks both ends of a connection make.
//
// The pin (SHA-256 of the device's SubjectPublicKeyInfo) is the identity; the
// signature of the device CA alone is never enough. So every check here takes
// or returns the pin.
//
// Everything works on bytes from strangers: parsers are strict, sizes are
// bounded, and each refusal is a *RequestError or *CertificateError whose Reason
// is a constant of this package (for conditions, counters and logs) and whose
// Detail is for a person. The package is pure: no clock, no network, no goroutines.
package identity
