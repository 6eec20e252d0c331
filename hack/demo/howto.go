package main

import (
	"context"
	"fmt"

	"github.com/mooring-dev/mooring/hack/dev/stack"
)

// usageText returns the text that "up" prints: the story as commands to type.
func usageText(ctx context.Context, s *stack.Stack, o options) (string, error) {
	paths := map[string]string{}
	for _, user := range []string{"ida", "ada", "ivan"} {
		path, err := s.KubeconfigFor(ctx, user)
		if err != nil {
			return "", err
		}
		paths[user] = path
	}
	return fmt.Sprintf(`Mooring is running and this machine is paired as %[5]q. The fleet is the namespace %[1]q; logs are in %[2]s.

  export PATH=%[3]s/.local/bin:$PATH

  # ivan runs something
  KUBECONFIG=%[8]s kubectl mooring nodes -n %[1]s
  KUBECONFIG=%[8]s kubectl mooring invoke %[5]s echo --input '{"text":"hello"}' -n %[1]s
  KUBECONFIG=%[8]s kubectl mooring invoke %[5]s system.health -n %[1]s
  # pair another machine: ida issues a code
  KUBECONFIG=%[4]s kubectl mooring code --name another-machine -n %[1]s
  # this machine pairs with it (another terminal); the code is the one ida got
  mooring-agent run --pairing %[6]s --code CODE --identity-dir %[2]s/my-identity
  # ada compares the verification code and approves
  KUBECONFIG=%[7]s kubectl mooring pending -n %[1]s
  KUBECONFIG=%[7]s kubectl mooring approve NAME -n %[1]s
  # the administrator sees everything
  KUBECONFIG=%[9]s kubectl get mooring -A

make down stops it and forgets its state.
`, fleet, o.statePath(), o.root, paths["ida"], nodeName, s.PairingEndpoint, paths["ada"], paths["ivan"], s.Cluster.Kubeconfig()), nil
}
