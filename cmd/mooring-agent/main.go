// Command mooring-agent makes this machine a Node and runs the capabilities that people request.
package main

import (
	"os"

	"github.com/mooring-dev/mooring/nodeagent/cli"
)

func main() { os.Exit(cli.Main(cli.Build{}, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }
