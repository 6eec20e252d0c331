//go:build systemd

package systemd

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/mooring-dev/mooring/test/fakegateway"
	"github.com/mooring-dev/mooring/test/manual"
)

// asRoot replaces sudo, which the container does not have: its commands run as root anyway.
const asRoot = "#!/bin/sh\nexec \"$@\"\n"

// The commands of the manual, word for word, create a service that is connected and enabled.
func TestTheManualMakesAService(t *testing.T) {
	l := boot(t)
	g := fakegateway.Start(t)
	commands, err := manual.Commands("../../docs/how-to/install-the-agent.md", "service",
		map[string]string{"gateway.example.com:7443": g.PairingEndpoint, "K7QX2M-482913": fakegateway.Code.String()})
	if err != nil {
		t.Fatal(err)
	}
	downloaded := filepath.Join(l.root, "usr/local/bin/mooring-agent")
	if err := os.Rename(downloaded, filepath.Join(l.root, "root/mooring-agent")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(l.root, "usr/local/bin/sudo"), []byte(asRoot), 0o755); err != nil {
		t.Fatal(err)
	}
	if code, out := l.runInside("bash", "-euc", "cd /root\n"+commands); code != 0 {
		t.Fatalf("exit %d:\n%s", code, out)
	}
	l.checkAgent(0, "Connected", "status")
	if code, out := l.runInside("systemctl", "is-enabled", "mooring-agent"); code != 0 {
		t.Error(out)
	}
}
