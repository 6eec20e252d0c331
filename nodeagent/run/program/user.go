package program

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/user"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/mooring-dev/mooring/nodeagent/run/process"
)

// searchPath is the PATH of every program.
const searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// account is the user that a program runs as; otherUser is nil for the agent's own user.
type account struct {
	name, home string
	otherUser  *process.User
}

func (a *account) credential() *process.User {
	if a == nil {
		return nil
	}
	return a.otherUser
}

// lookupUser returns the account of a user. Only root can run as another user, and root must name
// one.
func lookupUser(name string) (*account, error) {
	root := os.Geteuid() == 0
	if name == "" {
		if root {
			return nil, errors.New("runAs is missing: this agent runs as root, so the file must name the user of the program (runAs: root, if necessary)")
		}
		return ownAccount(user.Current), nil
	}
	if a, ok := parseNumericUser(name); ok {
		if !root && a.otherUser != nil {
			return nil, fmt.Errorf("runAs: only an agent that runs as root can run a program as %s", name)
		}
		return a, nil
	}
	found, err := user.Lookup(name)
	if err != nil {
		return nil, fmt.Errorf("runAs: %w; where there is no list of users, give both numbers: \"UID:GID\"", err)
	}
	a := &account{name: found.Username, home: found.HomeDir}
	if found.Uid == strconv.Itoa(os.Geteuid()) {
		return a, nil
	}
	if !root {
		return nil, fmt.Errorf("runAs: only an agent that runs as root can run a program as %s", name)
	}
	a.otherUser, err = newCredential(found)
	return a, err
}

// ownAccount returns the agent's own account. Without a list of users, as in a scratch image, the
// account has only a number, and its home directory comes from the environment.
func ownAccount(current func() (*user.User, error)) *account {
	if found, err := current(); err == nil {
		return &account{name: found.Username, home: found.HomeDir}
	}
	return &account{name: strconv.Itoa(os.Geteuid()), home: cmp.Or(os.Getenv("HOME"), "/")}
}

// parseNumericUser parses a user of the form UID:GID, which needs no list of users. Such an account
// has that one group and no home. The group is required because its default must not be 0.
func parseNumericUser(name string) (*account, bool) {
	first, second, both := strings.Cut(name, ":")
	uid, err := strconv.ParseUint(first, 10, 32)
	gid, groupErr := strconv.ParseUint(second, 10, 32)
	if !both || err != nil || groupErr != nil {
		return nil, false
	}
	a := &account{name: first, home: "/"}
	if uid != uint64(os.Geteuid()) || gid != uint64(os.Getegid()) {
		a.otherUser = &process.User{UID: uint32(uid), GID: uint32(gid)}
	}
	return a, true
}

func newCredential(found *user.User) (*process.User, error) {
	groups, err := found.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("find the groups of %s: %w", found.Username, err)
	}
	ids := make([]uint32, 0, len(groups)+2)
	for _, text := range append([]string{found.Uid, found.Gid}, groups...) {
		id, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("user %s: id %q is not a number", found.Username, text)
		}
		ids = append(ids, uint32(id))
	}
	return &process.User{UID: ids[0], GID: ids[1], Groups: ids[2:]}, nil
}

// build returns the whole environment. It holds only those variables of the agent that Allow names.
func (e environment) build(programUser *account) ([]string, error) {
	values := map[string]string{"PATH": searchPath, "HOME": programUser.home, "USER": programUser.name, "LOGNAME": programUser.name}
	for _, name := range e.Allow {
		if err := checkVariable(name); err != nil {
			return nil, err
		}
		if value, present := os.LookupEnv(name); present {
			values[name] = value
		}
	}
	for name, value := range e.Set {
		if err := checkVariable(name); err != nil {
			return nil, err
		}
		if strings.ContainsRune(value, 0) {
			return nil, fmt.Errorf("environment: the value of %s contains a NUL", name)
		}
		values[name] = value
	}
	var list []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		list = append(list, name+"="+values[name])
	}
	return list, nil
}

// checkVariable rejects PATH, which is fixed, and the agent's own variables, such as pairing codes.
func checkVariable(name string) error {
	switch {
	case !variableName.MatchString(name):
		return fmt.Errorf("environment: %q is not the name of a variable", name)
	case name == "PATH", strings.HasPrefix(name, "MOORING_"), strings.HasPrefix(name, "LD_"):
		return fmt.Errorf("environment: %s cannot be set or allowed", name)
	}
	return nil
}
