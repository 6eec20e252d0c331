package plugin

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestInputIsReadFromTheFlagAFileOrStandardInput(t *testing.T) {
	file := filepath.Join(t.TempDir(), "input.json")
	if err := os.WriteFile(file, []byte("{\n  \"from\": \"file\"\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct{ flag, stdin, want string }{
		"the flag itself":                {flag: ` {"a": [1, 2]} `, want: `{"a":[1,2]}`},
		"numbers keep all their digits":  {flag: `{"n": 9223372036854775807}`, want: `{"n":9223372036854775807}`},
		"a file":                         {flag: "@" + file, want: `{"from":"file"}`},
		"standard input":                 {flag: "-", stdin: "{\"from\":\"pipe\"}\n", want: `{"from":"pipe"}`},
		"an empty object is an object":   {flag: "{}", want: "{}"},
		"exactly as much as may be read": {flag: "-", stdin: padded(maxInputBytes), want: "{}"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := readInput(tc.flag, true, strings.NewReader(tc.stdin))
			if err != nil {
				t.Fatal(err)
			}
			if string(got.Raw) != tc.want {
				t.Errorf("got %s, want %s", got.Raw, tc.want)
			}
		})
	}
}

func padded(size int) string { return "{}" + strings.Repeat(" ", size-2) }

func TestNoInputFlagIsNoInput(t *testing.T) {
	got, err := readInput("", false, strings.NewReader("must not be read"))
	if got != nil || err != nil {
		t.Errorf("got %v, %v, want nothing", got, err)
	}
}

func TestBadInputIsRefusedWithTheWayOut(t *testing.T) {
	for name, tc := range map[string]struct{ flag, stdin, want string }{
		"empty":          {flag: "", want: "--input is empty"},
		"only spaces":    {flag: "-", stdin: " \n", want: "standard input is empty"},
		"no JSON":        {flag: "hello", want: "--input is not JSON"},
		"a cut object":   {flag: `{"a":`, want: "is not JSON"},
		"two objects":    {flag: `{} {}`, want: "(at byte 4)"},
		"an array":       {flag: `[1]`, want: "is an array, not an object"},
		"a string":       {flag: `"x"`, want: "is a string, not an object"},
		"a number":       {flag: `-1`, want: "is a number, not an object"},
		"a boolean":      {flag: `true`, want: "is a boolean, not an object"},
		"null":           {flag: `null`, want: "is null, not an object"},
		"a uint64":       {flag: `{"n": 18446744073709551615}`, want: "the number 18446744073709551615, which the API server would not keep exactly: write it as a string"},
		"a long number":  {flag: `{"n": [123456789012345678901]}`, want: "write it as a string"},
		"a rounded one":  {flag: `{"n": 9007199254740993.5}`, want: "write it as a string"},
		"a missing file": {flag: "@/no/such/file", want: "/no/such/file: no such file"},
		"too much":       {flag: "-", stdin: padded(maxInputBytes + 1), want: "is larger than 1048576 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := readInput(tc.flag, true, strings.NewReader(tc.stdin))
			if exitCode(err) != exitUsage {
				t.Fatalf("error %v has exit code %d, want %d", err, exitCode(err), exitUsage)
			}
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %q does not contain %q", err, tc.want)
			}
		})
	}
}
