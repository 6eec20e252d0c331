package desktop

import (
	"testing"

	"github.com/mooring-dev/mooring/nodeagent/run/mediation"
)

// corpus maps addresses to their canonical form under the default rules; an empty form means that
// the address is rejected.
var corpus = map[string]string{
	"https://example.com":                  "https://example.com/",
	"https://example.com/":                 "https://example.com/",
	"HTTPS://EXAMPLE.COM/Path":             "https://example.com/Path",
	"https://example.com:8443/a?b=c#d":     "https://example.com:8443/a?b=c#d",
	"https://sub.example.com/a/../b":       "https://sub.example.com/a/../b",
	"https://example.com/%20%0a":           "https://example.com/%20%0a",
	"https://example.com/?q=a&b=$(id)":     "https://example.com/?q=a&b=$(id)",
	"https://example.com?.evil.example/":   "https://example.com/?.evil.example/",
	"https://xn--bcher-kva.example/":       "https://xn--bcher-kva.example/",
	"https://192.0.2.7/":                   "https://192.0.2.7/",
	"https://[2001:db8::1]:8443/":          "https://[2001:db8::1]:8443/",
	"https://localhost/":                   "https://localhost/",
	"https://example.com/a;b=c,d'e":        "https://example.com/a;b=c,d'e",
	"https://example.com/@user":            "https://example.com/@user",
	"https://a_b.example.com/":             "https://a_b.example.com/",
	"":                                     "",
	" ":                                    "",
	"-https://example.com":                 "",
	"--help":                               "",
	"-":                                    "",
	"example.com":                          "",
	"//example.com":                        "",
	"/etc/passwd":                          "",
	"http://example.com/":                  "",
	"ftp://example.com/":                   "",
	"file:///etc/passwd":                   "",
	"file://example.com/share":             "",
	"javascript:alert(1)":                  "",
	"JavaScript:alert(1)":                  "",
	"java\tscript:alert(1)":                "",
	"javascript://example.com/%0aalert(1)": "",
	"vbscript:x":                           "",
	"data:text/html,<script>":              "",
	"data:text/html;base64,PHA+":           "",
	"blob:https://example.com/x":           "",
	"about:config":                         "",
	"view-source:https://example.com":      "",
	"mailto:a@example.com":                 "",
	"ms-settings:x":                        "",
	"ssh://-oProxyCommand=id/":             "",
	"https:example.com":                    "",
	"https:/example.com":                   "",
	"https:///example.com":                 "",
	"https://":                             "",
	"https://user@example.com/":            "",
	"https://user:pass@example.com/":       "",
	"https://example.com@evil.example/":    "",
	"https://@example.com/":                "",
	"https://example.com\\@evil.example/":  "",
	"https://example.com\\evil":            "",
	"https://exa mple.com/":                "",
	"https://example.com/a b":              "",
	"https://example.com/\n":               "",
	"https://example.com/\r\nX: y":         "",
	"https://example.com/\x00":             "",
	"https://example.com/\x1b[2J":          "",
	"https://example.com/\x7f":             "",
	"https://example.com/\u202egpj.exe":    "",
	"https://еxample.com/":                 "",
	"https://example.com/ü":                "",
	"https://example。com/":                 "",
	"https://%65xample.com/":               "",
	"https://example.com%2f.evil.example/": "",
	"https://exam%00ple.com/":              "",
	"https://example.com:0/":               "",
	"https://example.com:65536/":           "",
	"https://example.com:/":                "",
	"https://example.com:x/":               "",
	"https://example.com:080/":             "",
	"https://2130706433/":                  "",
	"https://0x7f000001/":                  "",
	"https://127.1/":                       "",
	"https://0177.0.0.1/":                  "",
	"https://1.2.3.4.5/":                   "",
	"https://example.0x7f/":                "",
	"https://[fe80::1%25eth0]/":            "",
	"https://[::1":                         "",
	"https://example..com/":                "",
	"https://.example.com/":                "",
	"https://example.com./":                "",
	"https://-example.com/":                "",
	"https://exa$mple.com/":                "",
	"https://example.com/`id`":             "",
	"https://example.com/\"x\"":            "",
	"https://example.com/<x>":              "",
	"https://example.com/{x}|y^":           "",
	"https://example.com/%zz":              "",
}

func TestTheCorpusOfURLs(t *testing.T) {
	if len(corpus) < 60 {
		t.Errorf("only %d URLs", len(corpus))
	}
	for text, want := range corpus {
		got, err := CanonicalURL(text, mediation.URLRules{})
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q becomes %q (%v), want %q", text, got, err, want)
		}
		if err != nil {
			continue
		}
		if again, err := CanonicalURL(got, mediation.URLRules{}); err != nil || again != got {
			t.Errorf("%q becomes %q when it is read again: %v", got, again, err)
		}
	}
}

func TestListsOfSchemesAndHosts(t *testing.T) {
	rules := mediation.URLRules{Schemes: []string{"https", "http", "javascript"}, Hosts: []string{"example.com", "*.Example.org"}, DenyHosts: []string{"bad.example.org"}}
	for text, accepted := range map[string]bool{
		"http://example.com/": true, "https://a.example.org/": true, "https://a.b.example.org/": true,
		"https://example.org/": false, "https://bad.example.org/": false, "https://evilexample.com/": false, "https://example.com.evil.net/": false,
		"https://evil.net/?.example.org": false, "javascript://example.com/%0aalert(1)": false, "ftp://example.com/": false,
	} {
		if _, err := CanonicalURL(text, rules); (err == nil) != accepted {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func FuzzCanonicalURLIsStable(f *testing.F) {
	for text := range corpus {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := CanonicalURL(text, mediation.URLRules{})
		if err != nil {
			return
		}
		if again, err := CanonicalURL(got, mediation.URLRules{}); err != nil || again != got {
			t.Errorf("%q becomes %q, then %q (%v)", text, got, again, err)
		}
	})
}
