package stack

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/hack/dev/poll"
)

// Admin is the user with every right; all other users have the rights that RBAC gives them.
const Admin = ""

// Run runs a program (kubectl, for example) as a user and returns its standard output. The error of
// a failed run contains the output.
func (s *Stack) Run(ctx context.Context, user string, argv ...string) (string, error) {
	out, err := s.run(ctx, user, "", argv)
	if err != nil {
		return out, fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, strings.TrimSpace(out))
	}
	return out, nil
}

// KubectlInput runs kubectl as a user with the given standard input. It returns the output even
// with an error.
func (s *Stack) KubectlInput(ctx context.Context, user, input string, args ...string) (string, error) {
	return s.run(ctx, user, input, append([]string{"kubectl"}, args...))
}

func (s *Stack) run(ctx context.Context, user, input string, argv []string) (string, error) {
	kubeconfig, err := s.KubeconfigFor(ctx, user)
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, s.binary(argv[0]), argv[1:]...)
	// kubectl finds its plugin on PATH.
	cmd.Env = append(cleanEnv(), "KUBECONFIG="+kubeconfig, "PATH="+filepath.Join(s.Root, ".local", "bin")+":/usr/bin:/bin", "HOME="+s.Dir)
	cmd.Stdin = strings.NewReader(input)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	if err != nil {
		return stdout.String() + stderr.String(), err
	}
	return stdout.String(), nil
}

// KubeconfigFor returns the path of a kubeconfig for a user, with a client certificate of the
// user's own.
func (s *Stack) KubeconfigFor(ctx context.Context, user string) (string, error) {
	if user == Admin {
		return s.Cluster.Kubeconfig(), nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if path, ok := s.kubeconfigs[user]; ok {
		return path, nil
	}
	path := filepath.Join(s.Dir, user+".kubeconfig")
	if err := s.Cluster.WriteUserKubeconfig(ctx, path, user); err != nil {
		return "", err
	}
	s.kubeconfigs[user] = path
	return path, nil
}

// WaitOnline waits until a Node is Online.
func (s *Stack) WaitOnline(ctx context.Context, namespace, name string) error {
	_, err := WaitObject(ctx, s.Client, types.NamespacedName{Namespace: namespace, Name: name}, &v1alpha1.Node{}, "Online",
		func(n *v1alpha1.Node) bool { return n.Status.Presence == v1alpha1.PresenceOnline })
	return err
}

// WaitObject polls one object until done accepts it, and returns the object.
func WaitObject[T client.Object](ctx context.Context, c client.Client, key types.NamespacedName, obj T, state string, done func(T) bool) (T, error) {
	ok := func() bool { return c.Get(ctx, key, obj) == nil && done(obj) }
	if err := poll.UntilTrue(ctx, ok); err != nil {
		return obj, fmt.Errorf("%T %s did not become %s: %w; last seen: %+v", obj, key, state, err, obj)
	}
	return obj, nil
}
