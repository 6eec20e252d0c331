//go:build linux

package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestUnitTestsRunBesideADecoyInstallation shows that the decoys are in place. The unit tests run
// with decoys at the paths of a real installation (hack/decoys.sh), so that a test that reads the
// machine's own files fails.
func TestUnitTestsRunBesideADecoyInstallation(t *testing.T) {
	if os.Getenv("MOORING_TEST_DECOYS") == "" {
		t.Skip("not started by hack/decoys.sh")
	}
	path, err := DefaultPath()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := DefaultIdentityDir()
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{path, filepath.Join(dir, "identity.pem")} {
		if content, err := os.ReadFile(file); err != nil || !strings.HasPrefix(string(content), "decoy:") {
			t.Errorf("%s holds %q, %v, want a decoy", file, content, err)
		}
	}
}
