package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mooring-dev/mooring/nodeagent"
	"github.com/mooring-dev/mooring/nodeagent/config"
	"github.com/mooring-dev/mooring/nodeagent/identity/enroll"
	"github.com/mooring-dev/mooring/nodeagent/identity/store"
	"github.com/mooring-dev/mooring/nodeagent/ownfile"
	"github.com/mooring-dev/mooring/nodeagent/service"
)

// configOptional marks the commands that create and remove the configuration file: the file of
// --config need not exist for them.
const configOptional = "spares-config"

const installHelp = `Pairs this machine if it is not paired, writes the configuration file with the
values of the flags and the environment, and registers a service: as root (and on
Windows) one of the machine, otherwise one of the user, who must be logged in (or linger)
for it to run.
A second run applies the changes. Without --now the service is not started.

` + serviceCodesHelp

func newInstall(build Build) *cobra.Command {
	var f flags
	var now bool
	cmd := &cobra.Command{
		Use: "install", Short: "Pairs this machine if it is not paired, and registers the service", Long: installHelp, Args: cobra.NoArgs,
		Annotations: map[string]string{loadsSettingsItself: "yes", configOptional: "yes"},
		Example: "  sudo mooring-agent install --pairing gateway.example.com:7443 --code K7QX2M-482913 --now\n" +
			"  mooring-agent install --pair - --now",
		RunE: func(cmd *cobra.Command, _ []string) error {
			file, all, err := loadSettings(cmd)
			if err != nil {
				return err
			}
			options, err := f.readOptions(cmd.InOrStdin(), cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			options.Extra, options.Now, options.Out = build.Capabilities, build.Now, cmd.OutOrStdout()
			manager, err := build.Services()
			if err != nil {
				return runError{err}
			}
			i := installation{cmd: cmd, file: file, settings: all, options: options, manager: manager}
			return asRunError(i.run(now))
		},
	}
	f.addPairing(cmd.Flags())
	f.addSettings(cmd)
	cmd.Flags().BoolVar(&now, "now", false, "starts the service too, or restarts it")
	return cmd
}

// installation is one run of install.
type installation struct {
	cmd      *cobra.Command
	file     config.File
	settings []config.Resolved
	options  nodeagent.Options
	manager  service.Manager
}

func (i *installation) run(now bool) error {
	oldStatus, err := i.manager.Status(i.cmd.Context())
	if err != nil {
		return err
	}
	program, err := serviceProgram()
	if err != nil {
		return err
	}
	if err := i.pair(); err != nil {
		return err
	}
	values := i.configValues()
	changed, err := config.Write(i.file.Path, values)
	if err != nil {
		return err
	}
	// The file may be in a folder that others can write; the service would then reject it.
	if _, err := config.Load(i.file.Path, true); err != nil {
		return err
	}
	definition := service.Definition{Executable: program, Arguments: []string{"run", "--config", i.file.Path}, Files: []string{program, i.file.Path}}
	for _, key := range config.FileKeys() {
		if values[key] != "" {
			definition.Files = append(definition.Files, values[key])
		}
	}
	if err := i.manager.Install(definition); err != nil {
		return err
	}
	out := i.cmd.OutOrStdout()
	printLine(out, "Installed: %s, configuration %s", i.manager.Describe(), i.file.Path)
	switch {
	case now && oldStatus.State == service.Running && !changed:
		fmt.Fprintln(out, "Already running")
	case now:
		return startService(i.cmd.Context(), out, i.manager, i.options.Dir, service.Manager.Restart)
	case oldStatus.State == service.Running && changed:
		fmt.Fprintln(out, "It runs with the old configuration until: mooring-agent restart")
	case oldStatus.State != service.Running:
		fmt.Fprintln(out, "Start it: mooring-agent start")
	}
	return nil
}

// serviceProgram returns the path of this program, for the service to start. A user who can replace
// the program would run as the user of the service, so that is an error.
func serviceProgram() (string, error) {
	path, err := executablePath()
	if err != nil {
		return "", err
	}
	err = ownfile.CheckProgram(path)
	switch {
	case err == nil:
		return path, nil
	case !errors.Is(err, ownfile.ErrUnsafe):
		return "", err
	case config.IsSystemWide():
		return "", fmt.Errorf("the service cannot start this program: %w; or install it from a folder of root alone: sudo install -m 0755 %s /usr/local/bin/mooring-agent, then: sudo /usr/local/bin/mooring-agent install", err, path)
	default:
		return "", fmt.Errorf("the service cannot start this program: %w; or copy it to a folder that only you can write, and install it from there", err)
	}
}

// pair pairs the machine. It does nothing on a paired machine, whether an agent runs there or not.
func (i *installation) pair() error {
	err := checkPaired(i.options.Dir)
	switch {
	case err == nil && i.options.Code != nil, err == nil && i.options.Invitation != nil:
		fmt.Fprintln(i.cmd.OutOrStdout(), "Already paired; the pairing code is not used")
		return nil
	case !errors.Is(err, store.ErrNotPaired):
		return err
	}
	err = nodeagent.Pair(i.cmd.Context(), i.options)
	if errors.Is(err, enroll.ErrNoCode) {
		return fmt.Errorf("%w; give the address and the code you were handed: --pairing HOST:PORT --code CODE, or --pair URI", err)
	}
	if err != nil && i.cmd.Context().Err() != nil {
		return errors.New("interrupted; run it again to go on with the same pairing request")
	}
	return err
}

// configValues returns the values of the file, replaced by those of flags and environment. The
// service starts in another working directory, so the identity directory is always written as an
// absolute path.
func (i *installation) configValues() map[string]string {
	values := i.file.Values()
	for _, s := range i.settings {
		if strings.HasPrefix(s.Source, "--") || strings.HasPrefix(s.Source, "MOORING_") {
			values[s.Key] = s.Value
		}
	}
	values[identityKey] = i.options.Dir
	if values["logFile"] == "" {
		if path, err := config.DefaultLogFile(); err == nil {
			values["logFile"] = path
		}
	}
	return values
}
