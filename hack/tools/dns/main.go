// Command coredns is CoreDNS with only the plugins that names inside a cluster need: the usual
// build links the clients of every cloud.
package main

import (
	_ "github.com/coredns/coredns/core" // the server itself
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"
	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/kubernetes"
)

// main sets the plugins in the order of the usual build.
func main() {
	dnsserver.Directives = []string{"bind", "errors", "kubernetes"}
	coremain.Run()
}
