package hostinfo

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/mooring-dev/mooring/internal/foreign/corpus"
	"github.com/mooring-dev/mooring/internal/identity"
)

func TestANodeNameIsMadeOfAnyHostName(t *testing.T) {
	for hostname, want := range map[string]string{
		"box":                          "box",
		"Box.example.com":              "box",
		"my_laptop":                    "my-laptop",
		"-x-":                          "x",
		"Müllers-PC":                   "m-llers-pc",
		"...":                          "",
		"":                             "",
		"10.0.0.7":                     "",
		"fe80::1%eth0":                 "",
		"010.000.000.007":              "",
		"10.0.0.7.":                    "",
		"10.0.0.7.example.com":         "",
		"10.20.example.com":            "10",
		"ip-10-0-0-7":                  "ip-10-0-0-7",
		"[::1]":                        "",
		"localhost":                    "",
		"LOCALHOST":                    "",
		"localhost.localdomain":        "",
		"localhost6.localdomain6":      "",
		"10.example.com":               "10",
		"localhost-7":                  "localhost-7",
		strings.Repeat("a", 70):        strings.Repeat("a", 63),
		strings.Repeat("a", 62) + "_b": strings.Repeat("a", 62),
	} {
		if got := NodeNameFromHostname(hostname); got != want {
			t.Errorf("%q becomes %q, want %q", hostname, got, want)
		} else if got != "" && !identity.IsLabel(got) {
			t.Errorf("%q becomes %q, which a gateway refuses", hostname, got)
		}
	}
}

func TestThisMachineIsDescribed(t *testing.T) {
	got := SystemInfo(t.Context())
	if got.GetOs() != runtime.GOOS || got.GetArch() != runtime.GOARCH || got.GetHostname() == "" || got.GetAgentVersion() == "" {
		t.Errorf("system: %v", got)
	}
	if id := BootID(t.Context()); id == "" || len(id) > 64 || id != BootID(t.Context()) {
		t.Errorf("boot id %q", id)
	}
}

func TestTheImageNameIsReadFromOSRelease(t *testing.T) {
	path := filepath.Join(t.TempDir(), "os-release")
	if err := os.WriteFile(path, []byte("ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := readPrettyName(path); got != "Debian GNU/Linux 12 (bookworm)" {
		t.Errorf("got %q", got)
	}
	if got := readPrettyName(path + ".none"); got != "" {
		t.Errorf("a missing file gives %q", got)
	}
}

func TestATextOfTheMachineIsSafeBeforeItIsSent(t *testing.T) {
	for name, text := range corpus.Texts {
		t.Run(name, func(t *testing.T) {
			got := cleanText(text)
			if corpus.CheckSafe(t, got); len(got) > maxTextBytes {
				t.Errorf("%d bytes", len(got))
			}
		})
	}
}

func TestForeignTextIsClippedOnACharacter(t *testing.T) {
	if got := cleanText(strings.Repeat("é", 200)); len(got) > maxTextBytes || strings.ContainsRune(got, '\uFFFD') || got != strings.Repeat("é", 128) {
		t.Errorf("%d bytes: %q", len(got), got)
	}
}
