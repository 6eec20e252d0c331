// Package manual extracts commands from a page of documentation, so that a test can execute them
// exactly as they are written.
package manual

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
)

// markedFence matches a fenced code block with its mark: a comment with the name of the block and the
// placeholders for values that a reader gets elsewhere.
var markedFence = regexp.MustCompile("(?m)^<!-- executed: (\\S+)((?: \\S+)*) -->\n```sh\n((?s:.*?))^```$")

// Commands returns the code block of that name with a value for each of its placeholders. It
// returns an error when the page does not have exactly one such block. It also returns an error
// when the values do not match the placeholders that the block declares and uses.
func Commands(page, name string, values map[string]string) (string, error) {
	content, err := os.ReadFile(page)
	if err != nil {
		return "", fmt.Errorf("read the manual: %w", err)
	}
	var found [][]string
	for _, m := range markedFence.FindAllStringSubmatch(string(content), -1) {
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
