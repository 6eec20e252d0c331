package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/mooring-dev/mooring/nodeagent/identity/enroll"
	"github.com/mooring-dev/mooring/nodeagent/identity/store"
	"github.com/mooring-dev/mooring/nodeagent/service"
)

const uninstallHelp = `Stops the service, removes its registration and removes the configuration file. The
identity directory stays, so that another install needs no pairing, unless --revoke or
--purge is given. --revoke first asks the cluster, with a request signed by the key of
this machine, to revoke it; offline that fails, and nothing is removed. --purge
removes the identity without notifying the cluster: the Node then has to be revoked there.
Files of the user in the identity directory, such as capability files, always stay.
If the configuration has a mistake and only it names the identity directory, --revoke and
--purge need --identity-dir; without these flags the configuration and the identity stay.

` + serviceCodesHelp

// errRevocationNotSent means that the cluster did not receive the request to revoke the identity.
var errRevocationNotSent = errors.New("the revocation could not be sent to the cluster")

// uninstallation is one run of uninstall.
type uninstallation struct {
	cmd           *cobra.Command
	manager       service.Manager
	now           func() time.Time
	config, dir   string
	revoke, purge bool
	// configErr is the reason why dir is only a guess; nil when dir is known.
	configErr error
}

func newUninstall(build Build) *cobra.Command {
	var yes bool
	r := uninstallation{now: build.Now}
	if r.now == nil {
		r.now = time.Now
	}
	cmd := &cobra.Command{
		Use: "uninstall", Short: "Removes the service, and with --revoke gives up the identity", Long: uninstallHelp, Args: cobra.NoArgs,
		Example:     "  mooring-agent uninstall\n  mooring-agent uninstall --revoke --yes",
		Annotations: map[string]string{loadsSettingsItself: "yes", configOptional: "yes"},
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			r.cmd = cmd
			if r.configErr = loadSettingsLenient(cmd); r.configErr != nil && (r.revoke || r.purge) {
				return fmt.Errorf("%w; nothing was removed. Correct it, or give --identity-dir", r.configErr)
			}
			if r.dir, err = resolveIdentityDir(r.dir); err != nil {
				return err
			}
			if r.config, _, err = resolveConfigPath(cmd); err != nil {
				return err
			}
			if r.manager, err = build.Services(); err != nil && !errors.Is(err, service.ErrNoManager) {
				return runError{err}
			}
			if !yes {
				agreed, err := confirm(cmd.InOrStdin(), cmd.OutOrStdout(), r.confirmationQuestion())
				if err != nil || !agreed {
					return errors.Join(err, errors.New("nothing was removed; answer yes, or give --yes"))
				}
			}
			return asRunError(r.run(cmd.Context()))
		},
	}
	addIdentityFlag(cmd, &r.dir)
	cmd.Flags().BoolVar(&r.revoke, "revoke", false, "gives up the identity of this machine, for good, and removes it")
	cmd.Flags().BoolVar(&r.purge, "purge", false, "removes the identity without notifying the cluster")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "skips the confirmation")
	return cmd
}

func (r *uninstallation) confirmationQuestion() string {
	switch {
	case r.revoke:
		return "Remove the agent's service and give up the identity of this machine for good?"
	case r.purge:
		return "Remove the agent's service and the identity of this machine, without notifying the cluster?"
	default:
		return "Remove the agent's service and its configuration?"
	}
}

func (r *uninstallation) run(ctx context.Context) error {
	found := service.Status{State: service.NotInstalled}
	var err error
	if r.manager != nil {
		if found, err = r.manager.Status(ctx); err != nil {
			return err
		}
	}
	if found.State == service.Running {
		if err := r.manager.Stop(); err != nil {
			return err
		}
	}
	if r.revoke || r.purge {
		if err := r.revokeAndErase(ctx); err != nil {
			if found.State == service.Running {
				err = errors.Join(err, startService(ctx, io.Discard, r.manager, r.dir, service.Manager.Start)) // restores the state from before
			}
			return err
		}
	}
	return r.unregister(found)
}

// revokeAndErase erases the identity. With --revoke it first asks the cluster to revoke the
// identity, and erases nothing if the request cannot be sent.
func (r *uninstallation) revokeAndErase(ctx context.Context) error {
	out := r.cmd.OutOrStdout()
	if _, err := os.Stat(r.dir); errors.Is(err, fs.ErrNotExist) {
		printLine(out, "No identity in %s", r.dir)
		return nil
	}
	s, err := store.Open(r.dir)
	if err != nil {
		return err
	}
	defer s.Close()
	if r.revoke {
		err := enroll.Revoke(ctx, s, "Uninstalled on the machine.", r.now, rand.Reader)
		switch {
		case errors.Is(err, store.ErrNotPaired):
		case errors.Is(err, enroll.ErrRevocationRefused):
			printLine(out, "Revocation not sent: %s", err)
		case errors.Is(err, enroll.ErrCertificateExpired):
			return fmt.Errorf("%w: %w; nothing was removed. Run mooring-agent start (or run) and wait until mooring-agent status says Connected: that recovers the certificate. Then run uninstall --revoke again. A certificate can be recovered for 30 days after its end; after that, use --purge and have an administrator revoke the Node", errRevocationNotSent, err)
		case err != nil:
			return fmt.Errorf("%w: %w; nothing was removed. Try again when the gateway can be reached, or use --purge and have an administrator revoke the Node", errRevocationNotSent, err)
		default:
			fmt.Fprintln(out, "The cluster recorded that this machine gives up its identity")
		}
	}
	kept, err := s.Erase()
	if err != nil {
		return err
	}
	printLine(out, "Removed the identity in %s", r.dir)
	for _, path := range kept {
		printLine(out, "Left, because the agent did not make it: %s", path)
	}
	return nil
}

func (r *uninstallation) unregister(found service.Status) error {
	out := r.cmd.OutOrStdout()
	if found.State == service.NotInstalled {
		printLine(out, "No service is installed%s", service.OtherScopeHint())
	} else {
		if err := r.manager.Uninstall(); err != nil {
			return err
		}
		fmt.Fprintln(out, "Removed the service")
	}
	if r.configErr != nil {
		if _, err := os.Lstat(r.config); err == nil {
			printLine(out, "Left %s, which may say where the identity is; that stays, too", r.config)
		}
		return nil
	}
	switch err := os.Remove(r.config); {
	case err == nil:
		if dir := filepath.Dir(r.config); filepath.Base(dir) == service.Name {
			_ = os.Remove(dir) // removes it only if it is empty
		}
		printLine(out, "Removed %s", r.config)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if !r.revoke && !r.purge {
		printLine(out, "Kept the identity in %s", r.dir)
	}
	return nil
}
