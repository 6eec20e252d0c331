package identity

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestIDReadsAndWritesTheSame(t *testing.T) {
	const uri = "spiffe://mooring.example/ns/fleet-a/node/press-7"
	got, err := ParseID(uri)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(node, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got.URI() != uri {
		t.Errorf("writes %s, want %s", got.URI(), uri)
	}
}

func TestURIsThatAreNoIDAreRefused(t *testing.T) {
	label64 := strings.Repeat("a", 64)
	for name, uri := range map[string]string{
		"nothing":                   "",
		"another scheme":            "https://td/ns/a/node/b",
		"upper-case scheme":         "SPIFFE://td/ns/a/node/b",
		"no trust domain":           "spiffe:///ns/a/node/b",
		"no namespace":              "spiffe://td/ns//node/b",
		"no node":                   "spiffe://td/ns/a/node/",
		"node missing":              "spiffe://td/ns/a/node",
		"a trailing slash":          "spiffe://td/ns/a/node/b/",
		"one more segment":          "spiffe://td/ns/a/node/b/c",
		"a doubled slash":           "spiffe://td//ns/a/node/b",
		"another first word":        "spiffe://td/sa/a/node/b",
		"another second word":       "spiffe://td/ns/a/sa/b",
		"upper-case words":          "spiffe://td/NS/a/node/b",
		"a port":                    "spiffe://td:443/ns/a/node/b",
		"a user":                    "spiffe://me@td/ns/a/node/b",
		"a query":                   "spiffe://td/ns/a/node/b?x=1",
		"a bare question mark":      "spiffe://td/ns/a/node/b?",
		"a fragment":                "spiffe://td/ns/a/node/b#x",
		"an escaped letter":         "spiffe://td/ns/a/node/%62",
		"an escaped slash":          "spiffe://td/ns/a/node/b%2fc",
		"dot segments":              "spiffe://td/ns/a/node/..",
		"dots in the node":          "spiffe://td/ns/a/node/b.c",
		"upper case in the node":    "spiffe://td/ns/a/node/B",
		"upper case in the domain":  "spiffe://TD/ns/a/node/b",
		"an underscore":             "spiffe://td/ns/a/node/b_c",
		"a leading dash":            "spiffe://td/ns/a/node/-b",
		"a trailing dash":           "spiffe://td/ns/a/node/b-",
		"a leading dot":             "spiffe://.td/ns/a/node/b",
		"a trailing dot":            "spiffe://td./ns/a/node/b",
		"a space":                   "spiffe://td/ns/a/node/b ",
		"a zero byte":               "spiffe://td/ns/a/node/b\x00",
		"a newline":                 "spiffe://td/ns/a/node/b\n",
		"letters beyond ASCII":      "spiffe://td/ns/a/node/ƅ",
		"a label of 64":             "spiffe://td/ns/a/node/" + label64,
		"a namespace of 64":         "spiffe://td/ns/" + label64 + "/node/b",
		"a domain of 256":           "spiffe://" + strings.Repeat("a.", 127) + "aa/ns/a/node/b",
		"a megabyte":                "spiffe://td/ns/a/node/" + strings.Repeat("b", 1<<20),
		"white space around it all": " spiffe://td/ns/a/node/b ",
	} {
		t.Run(name, func(t *testing.T) {
			if id, err := ParseID(uri); !errors.Is(err, ErrInvalidID) || id != (ID{}) || len(err.Error()) > 600 {
				t.Errorf("got %v, %v, want ErrInvalidID in short", id, err)
			}
		})
	}
}

func TestValidIDsReadBackAndOthersDoNot(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		part := rapid.StringMatching(`[a-z0-9./%?#A-Z@:-]{0,5}`)
		id := ID{TrustDomain: part.Draw(t, "domain"), Namespace: part.Draw(t, "namespace"), Node: part.Draw(t, "node")}
		got, err := ParseID(id.URI())
		if valid := id.Validate() == nil; valid != (err == nil) || (valid && got != id) {
			t.Fatalf("%#v, valid %t, reads back as %#v, %v", id, valid, got, err)
		}
	})
}

func FuzzParseID(f *testing.F) {
	for _, seed := range []string{node.URI(), "spiffe://td/ns/a/node/b?", "spiffe://td/ns/a/node/%62", "spiffe://a.b/ns/-/node/b", "spiffe:////"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		id, err := ParseID(uri)
		if err == nil && id.URI() != uri {
			t.Fatalf("%q has a second spelling, %q", id.URI(), uri)
		}
		if err != nil && (!errors.Is(err, ErrInvalidID) || id != (ID{})) {
			t.Fatalf("%q: %v, %v", uri, id, err)
		}
	})
}
