package pairing

const answerLabel = "complete pairing session"

// Answer is the gateway's last message of an exchange. The agent stores nothing of it before
// VerifyPeer and VerifyAnswer have returned nil.
type Answer struct {
	// TrustBundle is the CA bundle of the gateways in PEM.
	TrustBundle []byte
	// Namespace and Name identify the PairingRequest.
	Namespace, Name string
	// NodeEndpoint is the host:port of one node listener, or of several, separated by commas.
	NodeEndpoint string
}

// MACAnswer returns the MAC of an Answer under a key of the exchange; the gateway calls it.
func (k *Keys) MACAnswer(a Answer) []byte { return k.MAC(answerLabel, a.fields()...) }

// VerifyAnswer checks a MAC of MACAnswer and returns nil or ErrMAC; the agent calls it.
func (k *Keys) VerifyAnswer(mac []byte, a Answer) error {
	return k.VerifyMAC(mac, answerLabel, a.fields()...)
}

func (a Answer) fields() [][]byte {
	return [][]byte{a.TrustBundle, []byte(a.Namespace), []byte(a.Name), []byte(a.NodeEndpoint)}
}
