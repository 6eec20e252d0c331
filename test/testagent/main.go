// Command testagent is the agent with one more capability, for tests that kill it
// in the middle of its work: test.append.
package main

import (
	"os"

	"github.com/mooring-dev/mooring/nodeagent/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr, appendLine{})) }
