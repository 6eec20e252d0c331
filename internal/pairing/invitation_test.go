package pairing

import (
	"crypto/rand"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const goodURI = "mooring://pair?gateway=gw.example.com:7443&code=K7QX2M&secret=00112233445566778899aabbccddeeff&ca=sha256:" + keyHash

var goodInvitation = Invitation{
	Gateway: "gw.example.com:7443", LookupID: "K7QX2M", Secret: "00112233445566778899aabbccddeeff", CASHA256: keyHash,
}

func TestURIReadsAndWritesTheSame(t *testing.T) {
	got, err := ParseURI(goodURI)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(goodInvitation, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got.String() != goodURI {
		t.Errorf("writes %s, want %s", got, goodURI)
	}
}

func TestURIMayOrderAndEscapeItsParameters(t *testing.T) {
	got, err := ParseURI("mooring://pair?ca=sha256%3A" + keyHash + "&secret=" + goodInvitation.Secret + "&code=K7QX2M&gateway=gw.example.com%3A7443")
	if err != nil || got != goodInvitation {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestBadURIsAreRefusedWithoutRepeatingTheSecret(t *testing.T) {
	edit := func(old, replacement string) string { return strings.Replace(goodURI, old, replacement, 1) }
	for name, c := range map[string]struct{ uri, want string }{
		"nothing":             {"", "must begin with"},
		"a code":              {"K7QX2M-482913", "must begin with"},
		"another scheme":      {edit("mooring:", "https:"), "must begin with"},
		"another host":        {edit("//pair", "//pear"), "must begin with"},
		"a path":              {edit("pair?", "pair/x?"), "must begin with"},
		"a port":              {edit("pair?", "pair:1?"), "must begin with"},
		"a user":              {edit("//pair", "//me@pair"), "must begin with"},
		"opaque":              {edit("//pair", "pair"), "must begin with"},
		"a fragment":          {goodURI + "#x", "must begin with"},
		"an empty fragment":   {goodURI + "#", "must begin with"},
		"a control character": {goodURI + "\n", "not a URI"},
		"a bad escape":        {goodURI + "%zz", "malformed parameters"},
		"a semicolon":         {goodURI + ";x=1", "malformed parameters"},
		"unknown parameter":   {goodURI + "&admin=true", `unknown parameter "admin"`},
		"two gateways":        {goodURI + "&gateway=evil:1", `"gateway" must be given exactly once`},
		"no gateway":          {edit("gateway=gw.example.com:7443&", ""), `"gateway" must be given exactly once`},
		"no code":             {edit("&code=K7QX2M", ""), `"code" must be given exactly once`},
		"no secret":           {edit("&secret="+goodInvitation.Secret, ""), `"secret" must be given exactly once`},
		"no ca":               {edit("&ca=sha256:"+keyHash, ""), `"ca" must be given exactly once`},
		"code in lower case":  {edit("K7QX2M", "k7qx2m"), "must be 6 characters"},
		"PIN in the code":     {edit("K7QX2M", "K7QX2M-482913"), "must be 6 characters"},
		"short secret":        {edit("00112233445566778899aabbccddeeff", "0011"), "secret must be"},
		"upper-case secret":   {edit("aabbccddeeff", "AABBCCDDEEFF"), "secret must be"},
		"ca without a hash":   {edit("sha256:", "sha1:"), "ca must be"},
		"short ca":            {edit(keyHash, keyHash[:62]), "ca must be"},
		"no port":             {edit(":7443", ""), "not host:port"},
		"too long":            {goodURI + strings.Repeat("x", 2000), "longer than"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseURI(c.uri)
			if !errors.Is(err, ErrInvalidURI) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want ErrInvalidURI with %q", err, c.want)
			}
			if got != (Invitation{}) {
				t.Errorf("got %v together with the error", got)
			}
			if err != nil && strings.Contains(err.Error(), goodInvitation.Secret) {
				t.Errorf("the error repeats the secret: %v", err)
			}
		})
	}
}

func TestCheckEndpoint(t *testing.T) {
	for endpoint, ok := range map[string]bool{
		"localhost:7443": true, "gw.example.com:1": true, "GW.example.com:65535": true, "10.0.0.1:7443": true,
		"[::1]:7443": true, "[2001:db8::1]:443": true, "1.2.3:443": true,
		"": false, ":7443": false, "gw": false, "gw:": false, "gw:0": false, "gw:65536": false, "gw:-1": false, "gw:+1": false,
		"gw:07443": false, "gw:http": false, "gw.:1": false, "-gw:1": false, "gw-:1": false, "g w:1": false, "g_w:1": false,
		"::1:7443": false, "[fe80::1%eth0]:1": false, "[gw]:1": false, "[10.0.0.1]:1": false, "gw/x:1": false, "me@gw:1": false,
		strings.Repeat("a", 64) + ":1": false, strings.Repeat("a.", 127) + "a:1": false, "gw\x00:1": false, "gẃ:1": false,
	} {
		if err := CheckEndpoint(endpoint); (err == nil) != ok {
			t.Errorf("%q: %v, want accepted %t", endpoint, err, ok)
		}
	}
}

func TestEveryInvitationReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := Invitation{
			Gateway:  rapid.SampledFrom([]string{"localhost:1", "[2001:db8::1]:7443", "192.0.2.1:65535", "a-b.c:80"}).Draw(t, "gateway"),
			LookupID: rapid.StringMatching(`[0-9A-HJKMNP-TV-Z]{6}`).Draw(t, "lookup id"),
			Secret:   rapid.StringMatching(`[0-9a-f]{32}`).Draw(t, "secret"),
			CASHA256: rapid.StringMatching(`[0-9a-f]{64}`).Draw(t, "ca"),
		}
		if got, err := ParseURI(want.String()); err != nil || got != want {
			t.Fatalf("%s reads as %v, %v", want, got, err)
		}
	})
}

func TestDrawnQRSecretsFitAnInvitation(t *testing.T) {
	inv := goodInvitation
	seen := map[string]bool{}
	for range 20 {
		var err error
		if inv.Secret, err = NewQRSecret(rand.Reader); err != nil {
			t.Fatal(err)
		}
		if got, err := ParseURI(inv.String()); err != nil || got != inv || seen[inv.Secret] {
			t.Fatalf("%s reads as %v, %v (seen before: %t)", inv, got, err, seen[inv.Secret])
		}
		seen[inv.Secret] = true
	}
}

func FuzzParseURI(f *testing.F) {
	for _, seed := range []string{goodURI, goodURI + "&x=1", "mooring://pair", "mooring:pair?", "mooring://pair?gateway=[::1]:1", goodURI + "#", "%"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		inv, err := ParseURI(text)
		if err != nil {
			if !errors.Is(err, ErrInvalidURI) || inv != (Invitation{}) {
				t.Fatalf("%q: %v, %v", text, inv, err)
			}
			return
		}
		if again, err := ParseURI(inv.String()); err != nil || again != inv {
			t.Fatalf("%q reads as %v, which reads as %v, %v", text, inv, again, err)
		}
	})
}
