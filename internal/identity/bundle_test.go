package identity

import (
	"bytes"
	"encoding/pem"
	"errors"
	"slices"
	"testing"
)

func parseBundle(t testing.TB, parts ...[]byte) Bundle {
	t.Helper()
	bundle, err := ParseBundle(slices.Concat(parts...))
	if err != nil {
		t.Fatal(err)
	}
	return bundle
}

func TestBundleKeepsItsOrderAndEachCAOnce(t *testing.T) {
	a, b := newAuthority(t), newAuthority(t)
	bundle := parseBundle(t, a.pem(), b.pem(), a.pem())
	if want := slices.Concat(a.pem(), b.pem()); !bytes.Equal(bundle.PEM(), want) {
		t.Errorf("got\n%s\nwant\n%s", bundle.PEM(), want)
	}
	if got := parseBundle(t, bundle.PEM()); got.SHA256() != bundle.SHA256() {
		t.Error("the canonical form reads back as another bundle")
	}
	commented := parseBundle(t, []byte("# ours\n"), a.pem(), []byte("\n\n# theirs\n"), b.pem(), []byte("\n# end\n"))
	if commented.SHA256() != bundle.SHA256() {
		t.Error("comments change the hash")
	}
	if reversed := parseBundle(t, b.pem(), a.pem()); reversed.SHA256() == bundle.SHA256() {
		t.Error("the order does not change the hash, but it is documented to")
	}
}

func TestABundleIsNamedAfterItsPEMAndNamedOnce(t *testing.T) {
	bundle := parseBundle(t, newAuthority(t).pem(), newAuthority(t).pem())
	for _, b := range []Bundle{{}, bundle} {
		if want := hexSHA256(b.PEM()); b.SHA256() != want {
			t.Errorf("a bundle of %d is named %s, want %s", len(b.Certificates()), b.SHA256(), want)
		}
	}
	// A gateway computes the hash for every heartbeat of every machine.
	if n := testing.AllocsPerRun(100, func() { bundle.SHA256() }); n != 0 {
		t.Errorf("naming a bundle allocates %v times", n)
	}
}

func TestMergeAddsWhatIsMissing(t *testing.T) {
	a, b, c := newAuthority(t), newAuthority(t), newAuthority(t)
	union, err := parseBundle(t, a.pem(), b.pem()).Merge(parseBundle(t, b.pem(), c.pem()))
	if err != nil {
		t.Fatal(err)
	}
	if want := parseBundle(t, a.pem(), b.pem(), c.pem()); union.SHA256() != want.SHA256() {
		t.Errorf("got %d certificates in another order", len(union.Certificates()))
	}
	for _, ca := range []authority{a, b, c} {
		if _, err := VerifyPeer(ca.device(t, newKey(t).Public()), union.Pool(), node.TrustDomain, now); err != nil {
			t.Errorf("a machine of one of them: %v", err)
		}
	}
	fromNothing, err := Bundle{}.Merge(parseBundle(t, a.pem()))
	if err != nil || fromNothing.SHA256() != parseBundle(t, a.pem()).SHA256() {
		t.Errorf("merged into nothing: %v", err)
	}
	if _, err := (Bundle{}).Merge(Bundle{}); !errors.Is(err, ErrInvalidBundle) {
		t.Errorf("nothing and nothing: %v, want ErrInvalidBundle", err)
	}
}

func badBundles(t testing.TB) map[string][]byte {
	ca := newAuthority(t)
	leaf := ca.device(t, newKey(t).Public())[0]
	encode := func(kind string, der []byte) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	}
	damaged := bytes.Replace(ca.pem(), []byte("-----END CERTIFICATE-----"), []byte("-----END CERTIFICAT-----"), 1)
	var many []byte
	for range maxBundleCAs + 1 {
		many = append(many, newAuthority(t).pem()...)
	}
	return map[string][]byte{
		"nothing":                     nil,
		"only text":                   []byte("no certificates here"),
		"DER":                         ca.cert.Raw,
		"a leaf":                      encode("CERTIFICATE", leaf.Raw),
		"a leaf behind a CA":          slices.Concat(ca.pem(), encode("CERTIFICATE", leaf.Raw)),
		"a private key behind a CA":   slices.Concat(ca.pem(), encode("EC PRIVATE KEY", []byte{1})),
		"rubbish in a block":          encode("CERTIFICATE", []byte("rubbish")),
		"a damaged block in front":    slices.Concat(damaged, ca.pem()),
		"a damaged block behind":      slices.Concat(ca.pem(), damaged),
		"a block that never ends":     slices.Concat(ca.pem(), ca.pem()[:200]),
		"a begin and nothing":         []byte("-----BEGIN CERTIFICATE-----"),
		"more CAs than allowed":       many,
		"more bytes than allowed":     slices.Concat(ca.pem(), bytes.Repeat([]byte("\n"), MaxBundleBytes)),
		"two certificates in a block": encode("CERTIFICATE", slices.Concat(ca.cert.Raw, ca.cert.Raw)),
	}
}

func TestBundlesThatAreNotWholeAreRefused(t *testing.T) {
	for name, text := range badBundles(t) {
		t.Run(name, func(t *testing.T) {
			bundle, err := ParseBundle(text)
			if !errors.Is(err, ErrInvalidBundle) || len(bundle.Certificates()) > 0 {
				t.Errorf("got %d certificates, %v, want ErrInvalidBundle", len(bundle.Certificates()), err)
			}
		})
	}
}

func FuzzParseBundle(f *testing.F) {
	a, b := newAuthority(f), newAuthority(f)
	f.Add(slices.Concat(a.pem(), b.pem()))
	f.Add(a.pem())
	for _, text := range badBundles(f) {
		if len(text) < 4096 {
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		bundle, err := ParseBundle(text)
		if err != nil {
			if !errors.Is(err, ErrInvalidBundle) {
				t.Fatal(err)
			}
			return
		}
		again, err := ParseBundle(bundle.PEM())
		if err != nil || again.SHA256() != bundle.SHA256() {
			t.Fatalf("canonical form reads back as another bundle: %v", err)
		}
	})
}
