package pairing

const answerLabel = "complete pairing session"

// Answer is what the gateway tells the agent at the end of an exchange. The agent
// keeps nothing of it before VerifyPeer and VerifyAnswer have returned nil.
type Answer struct {
	// TrustBundle is the CA bundle of the gateways, PEM.
	TrustBundle []byte
	// Namespace and Name are those of the PairingRequest.
	Namespace, Name string
	// NodeEndpoint is host:port of the node listener, or of several, separated by commas.
	NodeEndpoint string
}

// MACAnswer authenticates an Answer under the session, for the gateway.
func (k *Keys) MACAnswer(a Answer) []byte { return k.MAC(answerLabel, a.parts()...) }

// VerifyAnswer checks what MACAnswer made, for the agent: nil or ErrMAC.
func (k *Keys) VerifyAnswer(mac []byte, a Answer) error {
	return k.VerifyMAC(mac, answerLabel, a.parts()...)
}

func (a Answer) parts() [][]byte {
	return [][]byte{a.TrustBundle, []byte(a.Namespace), []byte(a.Name), []byte(a.NodeEndpoint)}
}
