package pairing

import (
	"crypto/rand"
	"errors"
	"testing"
)

func TestAnAnswerVerifiesOnlyAsItWasSent(t *testing.T) {
	agent, gateway := newExchangeKeys(t)
	sent := Answer{TrustBundle: []byte("pem"), Namespace: "fleet", Name: "request", NodeEndpoint: "gw:7444"}
	mac := gateway.MACAnswer(sent)
	if err := agent.VerifyAnswer(mac, sent); err != nil {
		t.Fatalf("the answer as sent: %v", err)
	}
	for name, forged := range map[string]Answer{
		"another bundle":   {TrustBundle: []byte("pen"), Namespace: "fleet", Name: "request", NodeEndpoint: "gw:7444"},
		"another fleet":    {TrustBundle: []byte("pem"), Namespace: "fleat", Name: "request", NodeEndpoint: "gw:7444"},
		"another request":  {TrustBundle: []byte("pem"), Namespace: "fleet", Name: "requesu", NodeEndpoint: "gw:7444"},
		"another endpoint": {TrustBundle: []byte("pem"), Namespace: "fleet", Name: "request", NodeEndpoint: "gw:7445"},
		"a moved border":   {TrustBundle: []byte("pem"), Namespace: "fleetr", Name: "equest", NodeEndpoint: "gw:7444"},
	} {
		if err := agent.VerifyAnswer(mac, forged); !errors.Is(err, ErrMAC) {
			t.Errorf("%s: got %v, want ErrMAC", name, err)
		}
	}
}

func newExchangeKeys(t *testing.T) (agent, gateway *Keys) {
	t.Helper()
	w := PasswordScalar("K7QX2M", "482913")
	a, err := NewAgent(w, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	g, err := NewGateway(w, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if agent, err = a.Finish(g.Share(), nil); err != nil {
		t.Fatal(err)
	}
	if gateway, err = g.Finish(a.Share(), nil); err != nil {
		t.Fatal(err)
	}
	return agent, gateway
}
