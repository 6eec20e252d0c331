package capabilityname

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNamesAndEntries(t *testing.T) {
	longest := "a." + strings.Repeat("b", MaxBytes-2)
	for text, want := range map[string]struct{ name, entry bool }{
		"echo":                  {true, true},
		"system.health":         {true, true},
		"a.b_c-d.e1":            {true, true},
		"system.*":              {false, true},
		"a.b.*":                 {false, true},
		longest:                 {true, true},
		longest + "b":           {false, false},
		longest[:126] + ".*":    {false, true},
		longest[:127] + ".*":    {false, false},
		"":                      {false, false},
		"*":                     {false, false},
		".*":                    {false, false},
		"system*":               {false, false},
		"sys*.health":           {false, false},
		"system.*.*":            {false, false},
		"System":                {false, false},
		"1a":                    {false, false},
		"a.1b":                  {false, false},
		"a..b":                  {false, false},
		"a.":                    {false, false},
		".a":                    {false, false},
		"a b":                   {false, false},
		"a\n":                   {false, false},
		"ä":                     {false, false},
		"system.health\nsystem": {false, false},
	} {
		if got := Valid(text); got != want.name {
			t.Errorf("Valid(%q) = %t", text, got)
		}
		if got := ValidEntry(text); got != want.entry {
			t.Errorf("ValidEntry(%q) = %t", text, got)
		}
	}
}

func TestAFamilyCoversWholeSegmentsBelowItsPrefix(t *testing.T) {
	for _, c := range []struct {
		outer, inner string
		want         bool
	}{
		{"echo", "echo", true},
		{"echo", "echo.loud", false},
		{"echo.*", "echo.loud", true},
		{"echo.*", "echo.loud.twice", true},
		{"echo.*", "echo", false},
		{"echo.*", "echoes", false},
		{"echo.*", "echo.*", true},
		{"echo.*", "echo.loud.*", true},
		{"echo.loud.*", "echo.*", false},
		{"echo*", "echoes", false},
		{"*", "echo", false},
		{"*", "*", true},
	} {
		if got := Covers(c.outer, c.inner); got != c.want {
			t.Errorf("Covers(%q, %q) = %t", c.outer, c.inner, got)
		}
	}
	if got := FindCovering([]string{"echo", "camera.*", "camera.shot"}, "camera.shot"); got != "camera.*" {
		t.Errorf("the first covering entry is %q", got)
	}
	for _, entries := range [][]string{{"echo.*"}, {"echo.*", "echo.loud"}} {
		if got := FindCovering(entries, "echo.loud"); got != "echo.*" {
			t.Errorf("the first covering entry of %q is %q", entries, got)
		}
	}
	if got := FindCovering([]string{"echo"}, "camera.shot"); got != "" {
		t.Errorf("the first covering entry is %q", got)
	}
}

func TestAStarBelongsAtTheEndBehindADot(t *testing.T) {
	for entry, want := range map[string]struct{ family, misplaced bool }{
		"echo": {}, "": {}, "echo.*": {family: true}, ".*": {family: true}, "*": {misplaced: true}, "echo*": {misplaced: true},
		"*.echo": {misplaced: true}, "echo.*.*": {family: true, misplaced: true}, "echo.**": {misplaced: true},
	} {
		if IsFamily(entry) != want.family || HasMisplacedStar(entry) != want.misplaced {
			t.Errorf("%q: family %t, misplaced star %t", entry, IsFamily(entry), HasMisplacedStar(entry))
		}
	}
}

func TestAnIntersectionTakesTheNarrowerEntries(t *testing.T) {
	for name, c := range map[string]struct{ a, b, want []string }{
		"equal names":             {[]string{"echo", "shell"}, []string{"echo"}, []string{"echo"}},
		"a family narrows a name": {[]string{"system.health"}, []string{"system.*"}, []string{"system.health"}},
		"a name narrows a family": {[]string{"system.*"}, []string{"system.health", "echo"}, []string{"system.health"}},
		"families":                {[]string{"a.*"}, []string{"a.b.*", "c.*"}, []string{"a.b.*"}},
		"each once and sorted":    {[]string{"b", "a", "b"}, []string{"a", "b"}, []string{"a", "b"}},
		"nothing":                 {[]string{"a"}, []string{"b"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			for _, got := range [][]string{Intersect(c.a, c.b), Intersect(c.b, c.a)} {
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			}
		})
	}
	var many []string
	for i := range MaxEntries + 1 {
		many = append(many, fmt.Sprintf("c%03d", i))
	}
	if got := SortedSet(many); len(got) != MaxEntries || !slices.IsSorted(got) {
		t.Errorf("%d entries", len(got))
	}
}

func TestARoleAndAGrantOfOneFamilyHoldForTheSameCapabilities(t *testing.T) {
	for _, entry := range []string{"echo", "echo.*", "system.*", "system.health"} {
		for _, capability := range []string{"echo", "echo.loud", "echo.loud.twice", "echoes.far", "system", "system.health", "system.disk.usage"} {
			granted := Covers(entry, capability)
			if got := slices.Contains(RoleNames(capability), entry); got != granted {
				t.Errorf("a Role for %s and capability %s: %v, a grant: %v", entry, capability, got, granted)
			}
		}
	}
}

func TestARoleNamesACapabilityOrItsFamily(t *testing.T) {
	for name, want := range map[string][]string{
		"echo": {"echo"}, "system.health": {"system.health", "system.*"}, "a.b.c": {"a.b.c", "a.*"},
	} {
		if diff := cmp.Diff(want, RoleNames(name)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}
