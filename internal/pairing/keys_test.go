package pairing

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// formatAll formats v in every way in which careless code might log it.
func formatAll(v any) []string {
	return []string{fmt.Sprint(v), fmt.Sprintf("%v", v), fmt.Sprintf("%+v", v), fmt.Sprintf("%#v", v), fmt.Sprintf("%s", v)}
}

func newConfirmedKeys(t *testing.T) (agent, gateway *Keys) {
	t.Helper()
	w := PasswordScalar("K7QX2M", "482913")
	a, g := newExchange(t, w, w)
	return finishExchange(t, a, g, goodAAD, goodAAD)
}

func TestMACCarriesOverToThePeerAndNoFurther(t *testing.T) {
	agent, gateway := newConfirmedKeys(t)
	stranger, _ := newConfirmedKeys(t)
	mac := gateway.MAC("bundle", []byte("pem"), []byte("fleet"), []byte("request"))
	if err := agent.VerifyMAC(mac, "bundle", []byte("pem"), []byte("fleet"), []byte("request")); err != nil {
		t.Fatal(err)
	}
	for name, verify := range map[string]func() error{
		"another session": func() error {
			return stranger.VerifyMAC(mac, "bundle", []byte("pem"), []byte("fleet"), []byte("request"))
		},
		"another label":  func() error { return agent.VerifyMAC(mac, "bundlE", []byte("pem"), []byte("fleet"), []byte("request")) },
		"another part":   func() error { return agent.VerifyMAC(mac, "bundle", []byte("pen"), []byte("fleet"), []byte("request")) },
		"a moved byte":   func() error { return agent.VerifyMAC(mac, "bundle", []byte("pemf"), []byte("leet"), []byte("request")) },
		"a missing part": func() error { return agent.VerifyMAC(mac, "bundle", []byte("pem"), []byte("fleet")) },
		"an empty part": func() error {
			return agent.VerifyMAC(mac, "bundle", []byte("pem"), []byte("fleet"), []byte("request"), nil)
		},
		"no code":          func() error { return agent.VerifyMAC(nil, "bundle", []byte("pem"), []byte("fleet"), []byte("request")) },
		"the confirmation": func() error { return agent.VerifyMAC(gateway.Confirmation(), "bundle", []byte("pem")) },
		"half of the code": func() error {
			return agent.VerifyMAC(mac[:16], "bundle", []byte("pem"), []byte("fleet"), []byte("request"))
		},
		"parts in one blob": func() error { return agent.VerifyMAC(mac, "bundle", []byte("pemfleetrequest")) },
	} {
		if err := verify(); !errors.Is(err, ErrMAC) {
			t.Errorf("%s: %v, want ErrMAC", name, err)
		}
	}
}

func TestConfirmationIsACopy(t *testing.T) {
	agent, gateway := newConfirmedKeys(t)
	clear(agent.Confirmation())
	if err := gateway.VerifyPeer(agent.Confirmation()); err != nil {
		t.Errorf("the caller could change the keys: %v", err)
	}
}

func TestLengthPrefixIsUnambiguous(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 4), 0, 4)
		a, b := parts.Draw(t, "a"), parts.Draw(t, "b")
		same := len(a) == len(b)
		for i := range a {
			same = same && bytes.Equal(a[i], b[i])
		}
		if bytes.Equal(lengthPrefixed(a...), lengthPrefixed(b...)) != same {
			t.Fatalf("%x and %x", a, b)
		}
	})
}
