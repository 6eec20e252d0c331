package cli

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mooring-dev/mooring/test/fakegateway"
)

const qrURI = "mooring://pair?gateway=gw.example:7443&code=8N3TCW&secret=5d1f0c8ba37e42961c0d9f3b7a2e6458" +
	"&ca=sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

func TestAPairingURICanComeFromFourPlaces(t *testing.T) {
	file := filepath.Join(t.TempDir(), "code")
	if err := os.WriteFile(file, []byte(qrURI+"\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		flags   flags
		env, in string
	}{
		"the flag":        {flags: flags{pair: qrURI}},
		"the environment": {env: qrURI},
		"standard input":  {flags: flags{pair: "-"}, in: "  " + qrURI + " \nmore that is not read"},
		"a file":          {flags: flags{pair: "@" + file}},
		"a mail":          {flags: flags{pair: "-"}, in: "\ufeff\u00a0" + qrURI + "\u00a0\u200b\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("MOORING_PAIR", c.env)
			got, err := c.flags.readInvitation(strings.NewReader(c.in), io.Discard)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(qrURI, got.String()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestABadPairingURIIsExplainedAndNotRepeated(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		args []string
		says string
	}{
		"cut off by a shell at the first &": {"", []string{"--pair", "mooring://pair?gateway=gw.example:7443"}, "in quotes"},
		"a code instead of a URI":           {"", []string{"--pair", "K7QX2M-482913"}, "it must begin with mooring://pair?"},
		"a file that is not there":          {"", []string{"--pair", "@/no/such/file"}, "/no/such/file"},
		"nothing on standard input":         {"", []string{"--pair", "-"}, "it must begin with"},
		"a second, longer secret":           {qrURI + "&secret=5d1f0c8ba37e42961c0d9f3b7a2e6458\n", []string{"--pair", "-"}, `"secret" must be given exactly once`},
		"a code in addition":                {"", []string{"--pair", qrURI, "--code", "K7QX2M-482913"}, "leave out --pairing and --code"},
		"an address in addition":            {"", []string{"--pair", qrURI, "--pairing", "gw.example:7443"}, "leave out --pairing and --code"},
		"a text that is not a URI at all":   {strings.Repeat("x", 10000), []string{"--pair", "-"}, "longer than"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "id")
			code, out, errOut := execute(t, t.Context(), c.in, append([]string{"run", "--identity-dir", dir}, c.args...)...)
			if code != exitUsage || !strings.Contains(errOut, c.says) {
				t.Errorf("exit %d, says %q, want %q", code, errOut, c.says)
			}
			if strings.Contains(out+errOut, "5d1f0c8ba37e") {
				t.Error("the secret is repeated")
			}
			if _, err := os.Stat(dir); err == nil {
				t.Error("the identity directory was made before the mistake was found")
			}
		})
	}
}

func TestAMachinePairsWithAURIFromStandardInput(t *testing.T) {
	g := fakegateway.Start(t)
	dir := filepath.Join(t.TempDir(), "id")
	qr := g.Invitation()
	relayed := qr
	relayed.Gateway = fakegateway.StartRelay(t, g)
	code, _, errOut := execute(t, t.Context(), relayed.String()+"\n", "run", "--identity-dir", dir, "--pair", "-", "--name", "box")
	if code != exitUnprovenGateway || !strings.Contains(errOut, "nothing was sent to it") {
		t.Errorf("a relay ends with %d: %s", code, errOut)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-g.Node.Sessions
		cancel()
	}()
	code, out, errOut := execute(t, ctx, qr.String()+"\n", "run", "--identity-dir", dir, "--pair", "-", "--name", "box")
	if code != exitOK || !strings.Contains(out, "Paired as node fleet/box") {
		t.Errorf("exit %d: %s\n%s", code, out, errOut)
	}
	if strings.Contains(out+errOut, qr.Secret) {
		t.Error("the secret is printed")
	}
}
