package program

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/user"
	"strings"
	"testing"

	"github.com/mooring-dev/mooring/nodeagent/run/capability"
)

// TestAProgramRunsAsNumbersWithoutAListOfUsers uses a user who is in no list of users, as in an
// image from scratch.
func TestAProgramRunsAsNumbersWithoutAListOfUsers(t *testing.T) {
	uid, gid := os.Geteuid(), os.Getegid()
	if uid == 0 {
		uid, gid = 54321, 54322
	}
	p, err := Load(writeCapabilityFile(t, t.TempDir(), "own.test", fmt.Sprintf("runAs: \"%d:%d\"\nargv: [/bin/sh, -c, 'id -u; id -g; id -G; echo $HOME $USER']\n", uid, gid)))
	if err != nil {
		t.Fatal(err)
	}
	r, err := capability.NewRegistry(p)
	if err != nil {
		t.Fatal(err)
	}
	e, _ := r.Get("own.test")
	got, err := runEntry(t, e, `{}`)
	if err != nil {
		t.Fatal(err)
	}
	var text string
	if err := json.Unmarshal(got, &text); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 { // the user has no other group than the given one
		if want := "54321\n54322\n54322\n/ 54321"; strings.TrimSpace(text) != want {
			t.Errorf("the program ran as %q, want %q", text, want)
		}
	} else if !strings.HasPrefix(text, fmt.Sprintf("%d\n%d\n", uid, gid)) {
		t.Errorf("the program ran as %q", text)
	}
}

func TestAUserThatIsInNoListSaysWhatToGive(t *testing.T) {
	for _, name := range []string{"nobody-of-that-name", "54321", "54321:", ":5", "-1:5", "4294967296:5", "1:2:3"} {
		if _, err := lookupUser(name); err == nil || !strings.Contains(err.Error(), `"UID:GID"`) {
			t.Errorf("runAs %q: %v", name, err)
		}
	}
}

func TestTheAgentsOwnUserNeedsNoList(t *testing.T) {
	t.Setenv("HOME", "")
	a := ownAccount(func() (*user.User, error) { return nil, errors.New("there is no /etc/passwd") })
	if a.name != fmt.Sprint(os.Geteuid()) || a.home != "/" || a.otherUser != nil {
		t.Errorf("own account %+v", a)
	}
}
