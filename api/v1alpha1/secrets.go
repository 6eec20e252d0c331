package v1alpha1

import "strings"

// The Secret for people: type SecretTypePairingCode, in the namespace of its PairingCode and
// owned by it. The controller may create and delete it, never read it.
const (
	// SecretTypePairingCode is the only type of Secret the controller may make in a fleet.
	SecretTypePairingCode = "mooring.dev/pairing-code"
	// SecretKeyCode is what a person types, such as K7QX2M-482913.
	SecretKeyCode = "code"
	// SecretKeyAddress is the pairing endpoint of the gateway, HOST:PORT.
	SecretKeyAddress = "address"
	// SecretKeyURI is what a QR shows, mooring://pair?...
	SecretKeyURI = "uri"
)

// The record for gateways: type SecretTypePairingRecord, in PairingNamespace, named by
// PairingRecordName. All values are text unless said otherwise.
const (
	// SecretTypePairingRecord is the type of a record.
	SecretTypePairingRecord = "mooring.dev/pairing-record"
	// RecordKeyScalar is the SPAKE2 password scalar, 32 raw bytes: as good as the code.
	RecordKeyScalar = "w"
	// RecordKeyNamespace is the fleet of the PairingCode.
	RecordKeyNamespace = "namespace"
	// RecordKeyCodeName is the name of the PairingCode.
	RecordKeyCodeName = "codeName"
	// RecordKeyCodeUID is the UID of the PairingCode, so that a namesake is not mistaken for it.
	RecordKeyCodeUID = "codeUID"
	// RecordKeyMethod is PIN or QR.
	RecordKeyMethod = "method"
	// RecordKeyTriesUsed is the number of tries taken, decimal, from 0 to MaxPairingTries.
	RecordKeyTriesUsed = "triesUsed"
	// RecordKeyConsumedBy is the public-key fingerprint of the machine that used the code;
	// absent or empty before.
	RecordKeyConsumedBy = "consumedBy"
	// RecordKeyRequestName is the PairingRequest the code led to; absent or empty before.
	RecordKeyRequestName = "requestName"
	// RecordKeyExpires is when the code stops being valid, RFC 3339.
	RecordKeyExpires = "expires"
)

// The token of an in-cluster agent: type SecretTypeServiceAccountToken, in PairingNamespace,
// left by the gateway for the controller to review again and delete.
const (
	// SecretTypeServiceAccountToken is the type of such a Secret.
	SecretTypeServiceAccountToken = "mooring.dev/service-account-token"
	// TokenKey holds the token.
	TokenKey = "token"
)

// MaxPairingTries is how many confirmations a code survives on each side.
const MaxPairingTries = 3

// PairingRecordName is the name of the record Secret of a lookup id: the id in lower case,
// which makes the id unique in the cluster.
func PairingRecordName(lookupID string) string {
	return strings.ToLower(lookupID)
}

// TokenSecretName is the name of the Secret with the token behind a PairingRequest: shorter than
// 253 characters, and none of a pairing record.
func TokenSecretName(namespace, request string) string {
	return "token." + namespace + "." + request
}
