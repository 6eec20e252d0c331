package manual

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const page = "Text.\n\n<!-- executed: one HOST CODE -->\n```sh\nrun HOST CODE\nagain HOST\n```\n" +
	"<!-- executed: two -->\n```sh\nls\n```\n<!-- executed: twin -->\n```sh\n```\n<!-- executed: twin -->\n```sh\n```\n" +
	"<!-- executed: spare HOST -->\n```sh\nls\n```\n"

func TestCommandsAreTakenAsTheyStandThere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(path, []byte(page), 0o600); err != nil {
		t.Fatal(err)
	}
	both := map[string]string{"HOST": "h:1", "CODE": "c"}
	for _, c := range []struct {
		name   string
		values map[string]string
		want   string
		says   string
	}{
		{"one", both, "run h:1 c\nagain h:1\n", ""},
		{"two", nil, "ls\n", ""},
		{"one", map[string]string{"HOST": "h:1"}, "", `declares "CODE"`},
		{"two", map[string]string{"ls": "rm"}, "", `does not declare "ls"`},
		{"spare", map[string]string{"HOST": "h:1"}, "", "does not stand there"},
		{"twin", nil, "", "has 2 fences"},
		{"none", nil, "", "has 0 fences"},
	} {
		got, err := Commands(path, c.name, c.values)
		if got != c.want || (err == nil) != (c.says == "") || (err != nil && !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %q, %v; want %q, %q", c.name, got, err, c.want, c.says)
		}
	}
}
