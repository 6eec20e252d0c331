// Package capabilityname defines the names of capabilities and the entries that match them. An
// entry is the name of one capability, such as system.health, or of a family, such as system.*.
// Grants, denials and the rules for ServiceAccounts are lists of entries.
//
// The agent, the gateway, the controllers and the plugin share the package, so it imports nothing
// of the project. The API server checks the same patterns; a test compares the CRDs and the
// admission policies with this package.
package capabilityname

import (
	"regexp"
	"slices"
	"strings"
)

const (
	// MaxBytes bounds a name and an entry.
	MaxBytes = 128
	// MaxDeclared bounds the capabilities that a machine can declare.
	MaxDeclared = 64
	// MaxEntries bounds the entries of a list in the API.
	MaxEntries = 256

	namePattern  = `^[a-z][a-z0-9_-]*([.][a-z][a-z0-9_-]*)*$`
	entryPattern = `^[a-z][a-z0-9_-]*([.][a-z][a-z0-9_-]*)*([.][*])?$`

	// familySuffix ends the name of a family. The dot makes a family consist of whole segments.
	familySuffix = ".*"
)

var (
	nameExpression  = regexp.MustCompile(namePattern)
	entryExpression = regexp.MustCompile(entryPattern)
)

// Valid reports whether name is the name of a capability: dotted lower case, such as echo or
// system.health, of at most MaxBytes.
func Valid(name string) bool { return len(name) <= MaxBytes && nameExpression.MatchString(name) }

// ValidEntry reports whether entry is the name of a capability, or of a family of at most MaxBytes.
func ValidEntry(entry string) bool {
	return len(entry) <= MaxBytes && entryExpression.MatchString(entry)
}

// IsFamily reports whether an entry names a family.
func IsFamily(entry string) bool { return strings.HasSuffix(entry, familySuffix) }

// HasMisplacedStar reports whether an entry has a star that does not end the name of a family.
func HasMisplacedStar(entry string) bool {
	return strings.Contains(strings.TrimSuffix(entry, familySuffix), "*")
}

// Covers reports whether outer matches each capability that inner matches. inner is the name of a
// capability or of a family. A family covers the names below its prefix: system.* covers
// system.health and not system.
func Covers(outer, inner string) bool {
	if prefix, ok := strings.CutSuffix(outer, "*"); ok && strings.HasSuffix(prefix, ".") {
		return strings.HasPrefix(inner, prefix)
	}
	return outer == inner
}

// FindCovering returns the first entry that covers inner, or "".
func FindCovering(entries []string, inner string) string {
	if i := slices.IndexFunc(entries, func(entry string) bool { return Covers(entry, inner) }); i >= 0 {
		return entries[i]
	}
	return ""
}

// Intersect returns the entries that both lists cover, as [SortedSet] returns them. Of two
// overlapping entries it returns the narrower one.
func Intersect(a, b []string) []string {
	var both []string
	for _, ours := range a {
		for _, theirs := range b {
			switch {
			case Covers(theirs, ours):
				both = append(both, ours)
			case Covers(ours, theirs):
				both = append(both, theirs)
			}
		}
	}
	return SortedSet(both)
}

// SortedSet returns the entries sorted and without repetitions, at most MaxEntries. Only an
// intersection of two long lists can have more; the result then covers less, never more.
func SortedSet(entries []string) []string {
	set := slices.Compact(slices.Sorted(slices.Values(entries)))
	return set[:min(len(set), MaxEntries)]
}

// RoleNames returns the resource names in a Role that permit its user to invoke a capability. These
// are its name and its family, which is the first segment followed by ".*". A name without a dot
// has no family, because system.* does not cover system.
func RoleNames(name string) []string {
	first, _, dotted := strings.Cut(name, ".")
	if !dotted {
		return []string{name}
	}
	return []string{name, first + familySuffix}
}
