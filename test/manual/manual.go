// Package manual takes the commands of a page of documentation, so that a test can execute them
// as they stand there.
package manual

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
)

// fenced is a fence with its mark: a comment that names it, and the words in it that stand for
// what a reader is handed.
var fenced = regexp.MustCompile("(?m)^<!-- executed: (\\S+)((?: \\S+)*) -->\n```sh\n((?s:.*?))^```$")

// Commands is the fence of that name on the page, with a value in the place of each of its
// placeholders and of nothing else. It errs when there is not exactly one such fence, or when
// values are not those of the placeholders it declares and uses.
func Commands(page, name string, values map[string]string) (string, error) {
	content, err := os.ReadFile(page)
	if err != nil {
		return "", fmt.Errorf("read the manual: %w", err)
	}
	var found [][]string
	for _, m := range fenced.FindAllStringSubmatch(string(content), -1) {
		if m[1] == name {
			found = append(found, m)
		}
	}
	if len(found) != 1 {
		return "", fmt.Errorf("%s has %d fences marked %q, not one", page, len(found), name)
	}
	declared, commands := strings.Fields(found[0][2]), found[0][3]
	for placeholder := range values {
		if !slices.Contains(declared, placeholder) {
			return "", fmt.Errorf("%s: fence %q does not declare %q", page, name, placeholder)
		}
	}
	for _, placeholder := range declared {
		value, ok := values[placeholder]
		if !ok || !strings.Contains(commands, placeholder) {
			return "", fmt.Errorf("%s: fence %q declares %q, which has no value or does not stand there", page, name, placeholder)
		}
		commands = strings.ReplaceAll(commands, placeholder, value)
	}
	return commands, nil
}
