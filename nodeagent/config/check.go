package config

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mooring-dev/mooring/internal/pairing"
	"github.com/mooring-dev/mooring/nodeagent/hostinfo"
)

func oneOf(words ...string) func(string) error {
	return func(value string) error {
		if slices.Contains(words, value) {
			return nil
		}
		if len(words) == 2 {
			return fmt.Errorf("%q is neither %s nor %s", value, words[0], words[1])
		}
		return fmt.Errorf("%q is none of %s", value, strings.Join(words, ", "))
	}
}

func checkEndpoint(value string) error {
	if err := pairing.CheckEndpoint(value); err != nil {
		return fmt.Errorf("%w; give it as HOST:PORT, such as gateway.example.com:7443", err)
	}
	return nil
}

func checkNodeName(value string) error {
	if hostinfo.NodeNameFromHostname(value) != value {
		return fmt.Errorf("%q is not a DNS label: lower-case letters, digits and dashes, at most 63", value)
	}
	return nil
}

func checkAge(value string) error {
	if age, err := time.ParseDuration(value); err != nil || age < 0 {
		return fmt.Errorf("%q is not a duration such as 720h, or 0 to keep the key", value)
	}
	return nil
}
