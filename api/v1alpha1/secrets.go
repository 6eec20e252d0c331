package v1alpha1

import "strings"

// The Secret for people has type SecretTypePairingCode. It is in the namespace of its PairingCode,
// which owns it. The controller may create and delete it, never read it.
const (
	// SecretTypePairingCode is the only type of Secret that the controller may create in a fleet.
	SecretTypePairingCode = "mooring.dev/pairing-code"
	// SecretKeyCode is the code that a person types, such as K7QX2M-482913.
	SecretKeyCode = "code"
	// SecretKeyAddress is the pairing endpoint of the gateway, HOST:PORT.
	SecretKeyAddress = "address"
	// SecretKeyURI is the URI that a QR code shows, mooring://pair?...
	SecretKeyURI = "uri"
)

// The record for gateways has type SecretTypePairingRecord. It is in PairingNamespace, with the
// name that PairingRecordName returns. All values are text unless noted otherwise.
const (
	// SecretTypePairingRecord is the type of a record.
	SecretTypePairingRecord = "mooring.dev/pairing-record"
	// RecordKeyScalar is the SPAKE2 password scalar, 32 raw bytes: as sensitive as the code.
	RecordKeyScalar = "w"
	// RecordKeyNamespace is the fleet of the PairingCode.
	RecordKeyNamespace = "namespace"
	// RecordKeyCodeName is the name of the PairingCode.
	RecordKeyCodeName = "codeName"
	// RecordKeyCodeUID is the UID of the PairingCode. It distinguishes the code from another one of
	// the same name.
	RecordKeyCodeUID = "codeUID"
	// RecordKeyMethod is PIN or QR.
	RecordKeyMethod = "method"
	// RecordKeyTriesUsed is the number of tries taken, decimal, from 0 to MaxPairingTries.
	RecordKeyTriesUsed = "triesUsed"
	// RecordKeyConsumedBy is the public-key fingerprint of the machine that used the code; absent
	// or empty until then.
	RecordKeyConsumedBy = "consumedBy"
	// RecordKeyRequestName is the PairingRequest of the machine that used the code; absent or empty
	// until then.
	RecordKeyRequestName = "requestName"
	// RecordKeyExpires is the time at which the code stops being valid, RFC 3339.
	RecordKeyExpires = "expires"
)

// The token of an in-cluster agent is in a Secret of type SecretTypeServiceAccountToken in
// PairingNamespace. The gateway stores it; the controller reviews it again and deletes it.
const (
	// SecretTypeServiceAccountToken is the type of the Secret with the token of an in-cluster
	// agent.
	SecretTypeServiceAccountToken = "mooring.dev/service-account-token"
	// TokenKey holds the token.
	TokenKey = "token"
)

// MaxPairingTries is the number of confirmations that may be tried with a code on each side.
const MaxPairingTries = 3

// PairingRecordName returns the name of the record Secret of a lookup id: the id in lower case. The
// name makes the id unique in the cluster.
func PairingRecordName(lookupID string) string {
	return strings.ToLower(lookupID)
}

// TokenSecretName returns the name of the Secret with the token behind a PairingRequest. It is
// shorter than 253 characters and never the name of a pairing record.
func TokenSecretName(namespace, request string) string {
	return "token." + namespace + "." + request
}
