package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/mooring-dev/mooring/internal/foreign"
	"github.com/mooring-dev/mooring/nodeagent/config"
	"github.com/mooring-dev/mooring/nodeagent/ownfile"
)

const (
	configName = "config"
	configEnv  = "MOORING_CONFIG"
	// settlesItself marks the commands that also work with invalid settings.
	settlesItself = "settles-itself"
	// identityKey is the key of the setting that names the identity directory.
	identityKey = "identityDir"
)

func configFlag(cmd *cobra.Command) {
	cmd.Flags().String(configName, "", "configuration `FILE` (default: "+config.PathHelp+")")
}

func identityFlag(cmd *cobra.Command, dir *string) {
	configFlag(cmd)
	config.Var(cmd.Flags(), dir, "identity-dir")
}

// identityDir returns the given directory or the default one, as an absolute path.
func identityDir(given string) (string, error) {
	if given != "" {
		return filepath.Abs(given)
	}
	return config.IdentityDir()
}

// settle reads the configuration file and sets every flag of cmd. When it returns an error, the
// readable values and the defaults are set all the same.
func settle(cmd *cobra.Command) (config.File, []config.Resolved, error) {
	file, broken := readConfig(cmd)
	all, wrong := config.Apply(cmd.Flags(), os.Getenv, file)
	return file, all, errors.Join(broken, wrong)
}

// settleAnyhow calls settle for a command that must work with a broken configuration: it prints the
// error and goes on. It returns the reason why the identity directory is unknown and the default
// only a guess; nil means that the directory is known.
func settleAnyhow(cmd *cobra.Command) (lost error) {
	_, all, problem := settle(cmd)
	if problem == nil {
		return nil
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "mooring-agent: %s\nContinuing with the settings that could be read. Correct the configuration, then: mooring-agent config validate\n", foreign.Indent(problem.Error()))
	for _, r := range all {
		if r.Key == identityKey && r.Source != "default" {
			return nil
		}
	}
	return fmt.Errorf("the identity directory is unknown: %w", problem)
}

// configPath returns the path of the configuration file, and whether --config named it: the file
// must then exist.
func configPath(cmd *cobra.Command) (path string, given bool, err error) {
	path = cmd.Flag(configName).Value.String()
	given = path != ""
	if path == "" {
		path = os.Getenv(configEnv)
	}
	if path == "" {
		path, err = config.Path()
		return path, false, err
	}
	path, err = filepath.Abs(path)
	return path, given, err
}

func readConfig(cmd *cobra.Command) (config.File, error) {
	path, given, err := configPath(cmd)
	if err != nil {
		return config.File{}, err
	}
	file, err := config.Load(path, given && cmd.Annotations[sparesConfig] == "")
	return file, asFileError(err)
}

// asFileError marks errors about the permissions of a file: they are no wrong use of the command
// line.
func asFileError(err error) error {
	if errors.Is(err, ownfile.ErrLoose) || errors.Is(err, fs.ErrPermission) {
		return runError{err}
	}
	return err
}

func newConfig() *cobra.Command {
	cmd := &cobra.Command{
		Use: "config", Short: "Shows and checks the configuration", Args: cobra.NoArgs, Long: configCodesHelp,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newConfigView(), newConfigValidate())
	return cmd
}

func newConfigView() *cobra.Command {
	var output string
	var f flags
	cmd := &cobra.Command{
		Use: "view", Short: "Shows every setting with its value and source", Args: cobra.NoArgs, Long: configCodesHelp,
		Example:     "  mooring-agent config view\n  MOORING_LOG_LEVEL=debug mooring-agent config view -o json",
		Annotations: map[string]string{settlesItself: "yes"},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			_, all, err := settle(cmd)
			if err != nil {
				return err
			}
			if output == "json" {
				return printJSON(cmd.OutOrStdout(), all)
			}
			table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(table, "KEY\tVALUE\tFROM")
			for _, r := range all {
				fmt.Fprintf(table, "%s\t%q\t%s\n", r.Key, r.Value, r.Source)
			}
			return table.Flush()
		},
	}
	f.addSettings(cmd)
	outputFlag(cmd, &output)
	return cmd
}

func newConfigValidate() *cobra.Command {
	cmd := &cobra.Command{
		Use: "validate [FILE]", Short: "Checks a configuration file; the exit code is 2 when it has a mistake", Args: cobra.MaximumNArgs(1),
		Long:        configCodesHelp,
		Annotations: map[string]string{settlesItself: "yes"},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				if err := cmd.Flags().Set(configName, args[0]); err != nil {
					return err
				}
			}
			file, err := readConfig(cmd)
			if err == nil {
				err = file.Check()
			}
			if err != nil {
				return err
			}
			said := "is good"
			if !file.Found {
				said = "is not there; the defaults count"
			}
			printLine(cmd.OutOrStdout(), "%s %s", file.Path, said)
			return nil
		},
	}
	configFlag(cmd)
	return cmd
}
