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
	// loadsSettingsItself marks the commands that also work with invalid settings.
	loadsSettingsItself = "settles-itself"
	// identityKey is the key of the setting that names the identity directory.
	identityKey = "identityDir"
)

func addConfigFlag(cmd *cobra.Command) {
	cmd.Flags().String(configName, "", "configuration `FILE` (default: "+config.PathHelp+")")
}

func addIdentityFlag(cmd *cobra.Command, dir *string) {
	addConfigFlag(cmd)
	config.AddFlag(cmd.Flags(), dir, "identity-dir")
}

// resolveIdentityDir returns the given directory or the default one, as an absolute path.
func resolveIdentityDir(given string) (string, error) {
	if given != "" {
		return filepath.Abs(given)
	}
	return config.DefaultIdentityDir()
}

// loadSettings reads the configuration file and sets every flag of cmd. When it returns an error,
// the readable values and the defaults are set all the same.
func loadSettings(cmd *cobra.Command) (config.File, []config.Resolved, error) {
	file, fileErr := readConfig(cmd)
	all, valueErr := config.Resolve(cmd.Flags(), os.Getenv, file)
	return file, all, errors.Join(fileErr, valueErr)
}

// loadSettingsLenient calls loadSettings for a command that must work with a broken configuration:
// it prints the error and goes on. It returns the reason why the identity directory is unknown and
// the default only a guess; nil means that the directory is known.
func loadSettingsLenient(cmd *cobra.Command) (configErr error) {
	_, all, problem := loadSettings(cmd)
	if problem == nil {
		return nil
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "mooring-agent: %s\nContinuing with the settings that could be read. Correct the configuration, then: mooring-agent config validate\n", foreign.IndentLines(problem.Error()))
	for _, r := range all {
		if r.Key == identityKey && r.Source != "default" {
			return nil
		}
	}
	return fmt.Errorf("the identity directory is unknown: %w", problem)
}

// resolveConfigPath returns the path of the configuration file, and whether --config named it: the
// file must then exist.
func resolveConfigPath(cmd *cobra.Command) (path string, given bool, err error) {
	path = cmd.Flag(configName).Value.String()
	given = path != ""
	if path == "" {
		path = os.Getenv(configEnv)
	}
	if path == "" {
		path, err = config.DefaultPath()
		return path, false, err
	}
	path, err = filepath.Abs(path)
	return path, given, err
}

func readConfig(cmd *cobra.Command) (config.File, error) {
	path, given, err := resolveConfigPath(cmd)
	if err != nil {
		return config.File{}, err
	}
	file, err := config.Load(path, given && cmd.Annotations[configOptional] == "")
	return file, asFileError(err)
}

// asFileError marks errors about the permissions of a file: they are no wrong use of the command
// line.
func asFileError(err error) error {
	if errors.Is(err, ownfile.ErrUnsafe) || errors.Is(err, fs.ErrPermission) {
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
		Annotations: map[string]string{loadsSettingsItself: "yes"},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			_, all, err := loadSettings(cmd)
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
	addOutputFlag(cmd, &output)
	return cmd
}

func newConfigValidate() *cobra.Command {
	cmd := &cobra.Command{
		Use: "validate [FILE]", Short: "Checks a configuration file; the exit code is 2 when it has a mistake", Args: cobra.MaximumNArgs(1),
		Long:        configCodesHelp,
		Annotations: map[string]string{loadsSettingsItself: "yes"},
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
			message := "is good"
			if !file.Found {
				message = "is not there; the defaults count"
			}
			printLine(cmd.OutOrStdout(), "%s %s", file.Path, message)
			return nil
		},
	}
	addConfigFlag(cmd)
	return cmd
}
