// Command testagent is the agent with one more capability, test.append, for tests that kill it in
// the middle of a dispatch. Its clock is wrong by $MOORING_TEST_CLOCK_OFFSET. With
// $MOORING_TEST_SERVICES it uses the service manager of tests in that folder and leaves the
// machine's own alone.
package main

import (
	"fmt"
	"os"
	"time"

	"github.com/mooring-dev/mooring/nodeagent/cli"
	"github.com/mooring-dev/mooring/nodeagent/run/capability"
	"github.com/mooring-dev/mooring/nodeagent/service"
	"github.com/mooring-dev/mooring/test/spawner"
)

func main() {
	build := cli.Build{Capabilities: []capability.Capability{appendCapability{}}}
	if text := os.Getenv("MOORING_TEST_CLOCK_OFFSET"); text != "" {
		offset, err := time.ParseDuration(text)
		if err != nil {
			fmt.Fprintln(os.Stderr, "testagent:", err)
			os.Exit(2)
		}
		build.Now = func() time.Time { return time.Now().Add(offset) }
	}
	if dir := os.Getenv("MOORING_TEST_SERVICES"); dir != "" {
		build.Services = func() (service.Manager, error) { return spawner.Manager{Dir: dir}, nil }
	}
	os.Exit(cli.Main(build, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
