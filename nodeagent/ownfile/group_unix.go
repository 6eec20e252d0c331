//go:build unix

package ownfile

import (
	"os"
	"strconv"
	"strings"
)

// privateGroup reports whether a group is the private group of a user. Such a group has the user's
// name, is the primary group of no other user, and has no other member. Systems that create private
// groups let users work with the mask 002. Root has no private group.
func privateGroup(uid, gid uint32) bool {
	if uid == 0 || gid == 0 {
		return false
	}
	users, err := os.ReadFile("/etc/passwd")
	if err != nil {
		return false
	}
	groups, err := os.ReadFile("/etc/group")
	return err == nil && isPrivate(string(users), string(groups), uid, gid)
}

// isPrivate implements privateGroup on the contents of passwd(5) and group(5).
func isPrivate(users, groups string, uid, gid uint32) bool {
	id, group := strconv.FormatUint(uint64(uid), 10), strconv.FormatUint(uint64(gid), 10)
	name := ""
	for line := range strings.Lines(users) {
		fields := strings.Split(strings.TrimSpace(line), ":")
		if len(fields) < 4 {
			continue
		}
		switch {
		case fields[2] == id && fields[3] == group:
			name = fields[0]
		case fields[3] == group:
			return false
		}
	}
	for line := range strings.Lines(groups) {
		fields := strings.Split(strings.TrimSpace(line), ":")
		if len(fields) == 4 && fields[2] == group {
			return name != "" && fields[0] == name && (fields[3] == "" || fields[3] == name)
		}
	}
	return false
}
