//go:build unix

package enroll

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mooring-dev/mooring/nodeagent/ownfile"
)

func TestATokenThatOthersCanReplaceIsNotShown(t *testing.T) {
	dir := t.TempDir()
	account := ServiceAccount{TokenFile: filepath.Join(dir, "token")}
	if err := os.WriteFile(account.TokenFile, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if token, err := account.readToken(); err != nil || token != "secret" {
		t.Errorf("got %q, %v", token, err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := account.readToken(); !errors.Is(err, ownfile.ErrUnsafe) || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
}
