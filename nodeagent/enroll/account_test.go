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
	account := Account{TokenFile: filepath.Join(dir, "token")}
	if err := os.WriteFile(account.TokenFile, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if token, err := account.token(); err != nil || token != "secret" {
		t.Errorf("got %q, %v", token, err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := account.token(); !errors.Is(err, ownfile.ErrLoose) || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
}
