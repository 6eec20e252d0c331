// Command kubectl-mooring is the operator's tool: a kubectl plugin, called as "kubectl mooring".
package main

import (
	"context"
	"os"

	"github.com/mooring-dev/mooring/internal/plugin"
)

func main() {
	os.Exit(plugin.Main(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
