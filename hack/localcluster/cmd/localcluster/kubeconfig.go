package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mooring-dev/mooring/hack/localcluster/internal/components"
	"github.com/mooring-dev/mooring/hack/localcluster/internal/kubeapi"
	"github.com/mooring-dev/mooring/hack/localcluster/internal/kubeconfig"
	"github.com/mooring-dev/mooring/hack/localcluster/internal/pki"
	"github.com/mooring-dev/mooring/hack/localcluster/internal/state"
)

// minTokenLife is the shortest lifetime that the apiserver grants (TokenRequestSpec).
const minTokenLife = 10 * time.Minute

// credential describes the owner of a kubeconfig.
type credential struct {
	user           string
	groups         []string
	serviceAccount string
	duration       time.Duration
	namespace      string
	out            string
}

func newKubeconfigCommand(place *locationFlags) *cobra.Command {
	var c credential
	command := &cobra.Command{
		Use:   "kubeconfig",
		Short: "Make a kubeconfig for the administrator, a user or a ServiceAccount",
		Long: `Prints a self-contained kubeconfig, or writes it to a file with mode 0600.

Without flags it is the administrator's. --user signs a client certificate for that
name and its groups: RBAC decides what it may do. --service-account asks the running
cluster for a token of a ServiceAccount that exists.`,
		Example: `  localcluster kubeconfig
  localcluster kubeconfig --user alice --group approvers --namespace fleet --out alice.kubeconfig
  localcluster kubeconfig --service-account mooring-system/mooring-gateway --duration 2h --out gw.kubeconfig`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if err := c.check(command.Flags().Changed("duration")); err != nil {
				return err
			}
			dir, err := place.dir()
			if err != nil {
				return err
			}
			data, err := c.render(command.Context(), dir)
			if err != nil {
				return err
			}
			return c.writeOut(data, command.OutOrStdout())
		},
	}
	flags := command.Flags()
	flags.StringVar(&c.user, "user", "", "user name (common name of the client certificate)")
	flags.StringArrayVar(&c.groups, "group", nil, "group of the user, may be repeated")
	flags.StringVar(&c.serviceAccount, "service-account", "", "ServiceAccount as NAMESPACE/NAME")
	flags.DurationVar(&c.duration, "duration", time.Hour, "how long the ServiceAccount's token is valid")
	flags.StringVarP(&c.namespace, "namespace", "n", "", "namespace of the context")
	flags.StringVar(&c.out, "out", "", "file to write (default: standard output)")
	return command
}

func (c credential) check(durationGiven bool) error {
	switch {
	case c.user != "" && c.serviceAccount != "":
		return errors.New("--user and --service-account exclude each other")
	case len(c.groups) > 0 && c.user == "":
		return errors.New("--group needs --user")
	case durationGiven && c.serviceAccount == "":
		return errors.New("--duration needs --service-account: client certificates are valid for a year")
	case c.serviceAccount != "" && c.duration < minTokenLife:
		return fmt.Errorf("--duration %s: the apiserver grants %s at least", c.duration, minTokenLife)
	}
	return nil
}

func (c credential) render(ctx context.Context, dir state.Dir) ([]byte, error) {
	config, err := dir.LoadConfig()
	if err != nil {
		return nil, err
	}
	if config.Ports.APIServer == 0 {
		return nil, fmt.Errorf("there is no cluster in %s: start one with localcluster up", dir)
	}
	authority, err := pki.LoadOrCreate(dir.PKI(), components.ClusterCA, time.Now)
	if err != nil {
		return nil, err
	}
	if c.serviceAccount != "" {
		return c.renderServiceAccount(ctx, config, authority)
	}
	leaf := components.AdminLeaf()
	if c.user != "" {
		leaf = pki.Leaf{CommonName: c.user, Organizations: c.groups}
	}
	data, _, err := components.UserKubeconfig(authority, config, leaf, c.namespace)
	return data, err
}

func (c credential) renderServiceAccount(ctx context.Context, config state.Config, authority *pki.Authority) ([]byte, error) {
	namespace, name, ok := strings.Cut(c.serviceAccount, "/")
	if !ok || namespace == "" || name == "" || strings.Contains(name, "/") {
		return nil, fmt.Errorf("--service-account %q: give it as NAMESPACE/NAME", c.serviceAccount)
	}
	admin, err := authority.Issue(components.AdminLeaf())
	if err != nil {
		return nil, err
	}
	client, err := kubeapi.New(config.Server(), authority.CertPEM(), admin)
	if err != nil {
		return nil, err
	}
	token, err := client.RequestToken(ctx, namespace, name, c.duration)
	if err != nil {
		return nil, fmt.Errorf("token for ServiceAccount %q: %w", c.serviceAccount, err)
	}
	if c.namespace == "" {
		c.namespace = namespace
	}
	return kubeconfig.Render(kubeconfig.Access{
		Cluster: components.ClusterName, Server: config.Server(), CAPEM: authority.CertPEM(),
		User: "system:serviceaccount:" + namespace + ":" + name, Token: token, Namespace: c.namespace,
	})
}

func (c credential) writeOut(data []byte, stdout io.Writer) error {
	if c.out == "" {
		_, err := stdout.Write(data)
		return err
	}
	if info, err := os.Stat(c.out); err == nil && info.IsDir() {
		return fmt.Errorf("--out %s is a folder: give a file", c.out)
	}
	return kubeconfig.Write(c.out, data)
}
