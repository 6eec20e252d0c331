package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/mooring-dev/mooring/nodeagent/config"
	"github.com/mooring-dev/mooring/nodeagent/ownfile"
)

const (
	configName = "config"
	configEnv  = "MOORING_CONFIG"
	// settlesItself marks commands that are for when the settings are wrong.
	settlesItself = "settles-itself"
)

func configFlag(cmd *cobra.Command) {
	cmd.Flags().String(configName, "", "configuration `FILE` (default: "+config.PathHelp+")")
}

func identityFlag(cmd *cobra.Command, dir *string) {
	configFlag(cmd)
	config.Var(cmd.Flags(), dir, "identity-dir")
}

// identityDir is what was given, or the usual one; absolute.
func identityDir(given string) (string, error) {
	if given != "" {
		return filepath.Abs(given)
	}
	return config.IdentityDir()
}

// settle reads the configuration file and gives every flag of cmd its value.
func settle(cmd *cobra.Command) (config.File, []config.Resolved, error) {
	file, err := readConfig(cmd)
	if err != nil {
		return file, nil, err
	}
	all, err := config.Apply(cmd.Flags(), os.Getenv, file)
	return file, all, err
}

// configPath is where the file is, and whether --config said so: then it must be there.
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
	file, err := config.Load(path, given && cmd.Annotations[makesConfig] == "")
	if errors.Is(err, ownfile.ErrLoose) || errors.Is(err, fs.ErrPermission) {
		return file, runError{err}
	}
	return file, err
}

func newConfig() *cobra.Command {
	cmd := &cobra.Command{
		Use: "config", Short: "Shows and checks the configuration", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newConfigView(), newConfigValidate())
	return cmd
}

func newConfigView() *cobra.Command {
	var output string
	var f flags
	cmd := &cobra.Command{
		Use: "view", Short: "Shows every setting and the place that said so", Args: cobra.NoArgs,
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
			fmt.Fprintf(cmd.OutOrStdout(), "%s %s\n", file.Path, said)
			return nil
		},
	}
	configFlag(cmd)
	return cmd
}
