package cli

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mooring-dev/mooring/test/fakegateway"
)

func execute(t *testing.T, ctx context.Context, in string, args ...string) (code int, out, errOut string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = run(ctx, args, strings.NewReader(in), &stdout, &stderr, Build{})
	return code, stdout.String(), stderr.String()
}

func TestMistakesAreExplainedBeforeAnythingIsTouched(t *testing.T) {
	t.Setenv("MOORING_PAIRING_CODE", "")
	for name, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"an unknown flag":         {[]string{"run", "--frob"}, exitUsage, "unknown flag"},
		"an unknown command":      {[]string{"frob"}, exitUsage, "unknown command"},
		"a code that is none":     {[]string{"run", "--pairing", "h:1", "--code", "1234"}, exitUsage, "K7QX2M-482913"},
		"a code without address":  {[]string{"run", "--code", "K7QX2M-482913"}, exitUsage, "--pairing HOST:PORT"},
		"an address without port": {[]string{"run", "--pairing", "host"}, exitUsage, "gateway.example.com:7443"},
		"a name that is no label": {[]string{"run", "--name", "My Box"}, exitUsage, "DNS label"},
		"an unknown log format":   {[]string{"run", "--log-format", "xml"}, exitUsage, "neither text nor json"},
		"an unknown log level":    {[]string{"run", "--log-level", "loud"}, exitUsage, "debug, info, warn, error"},
		"no code at all":          {[]string{"run"}, exitUsage, "--code CODE"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "id")
			t.Setenv("MOORING_IDENTITY_DIR", dir)
			code, _, errOut := execute(t, t.Context(), "", c.args...)
			if code != c.code || !strings.Contains(errOut, c.says) {
				t.Errorf("exit %d, want %d; says %q, want %q", code, c.code, errOut, c.says)
			}
			if strings.Contains(errOut, "482913") && c.says != "K7QX2M-482913" {
				t.Error("the code is repeated")
			}
		})
	}
}

func TestALooseDirectoryHasItsExitCode(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	code, _, errOut := execute(t, t.Context(), "", "run", "--identity-dir", dir)
	if code != exitIdentityDir || !strings.Contains(errOut, "chmod 0700 "+dir) {
		t.Errorf("exit %d: %s", code, errOut)
	}
}

func TestTheCodeCanComeFromStandardInput(t *testing.T) {
	g := fakegateway.Start(t)
	dir := filepath.Join(t.TempDir(), "id")
	code, out, errOut := execute(t, t.Context(), "K7QX2M-000000\n", "run", "--identity-dir", dir, "--pairing", g.PairingEndpoint, "--code", "-", "--name", "box")
	if code != exitWrongCode {
		t.Errorf("a wrong code ends with %d: %s", code, errOut)
	}
	if strings.Contains(out+errOut, "000000") {
		t.Error("the PIN is printed")
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-g.Node.Sessions
		cancel()
	}()
	code, out, errOut = execute(t, ctx, "k7qx2m 482913", "run", "--identity-dir", dir, "--pairing", g.PairingEndpoint, "--code", "-", "--name", "box")
	if code != exitOK || !strings.Contains(out, "Paired as node fleet/box") {
		t.Errorf("exit %d: %s\n%s", code, out, errOut)
	}
	if strings.Contains(out+errOut, fakegateway.Code.PIN) {
		t.Error("the PIN is printed")
	}
}

func TestARotationAgeThatIsNoneIsRefused(t *testing.T) {
	for _, age := range []string{"monthly", "-1h", "30"} {
		code, _, errOut := execute(t, t.Context(), "", "run", "--identity-dir", t.TempDir(), "--name", "box", "--rotate-key-every", age)
		if code != exitUsage || !strings.Contains(errOut, "--rotate-key-every") {
			t.Errorf("%s: exit %d: %s", age, code, errOut)
		}
	}
}

func TestHelpTellsTheExitCodes(t *testing.T) {
	code, out, _ := execute(t, t.Context(), "", "run", "--help")
	if code != exitOK || !strings.Contains(out, "5  the pairing request was denied") {
		t.Errorf("exit %d: %s", code, out)
	}
}
