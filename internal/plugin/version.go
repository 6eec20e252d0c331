package plugin

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/mooring-dev/mooring/internal/version"
)

type versionInfo struct {
	Version   string `json:"version"`
	GoVersion string `json:"goVersion"`
	Platform  string `json:"platform"`
}

func newVersion(t *tool) *cobra.Command {
	return &cobra.Command{
		Use:               "version",
		Short:             "Print the version of this program",
		Example:           "  kubectl mooring version\n  kubectl mooring version -o json",
		Args:              rangeArgs(0, 0),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(*cobra.Command, []string) error {
			info := versionInfo{Version: version.Version, GoVersion: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
			if t.format != "" {
				return t.printObject(info)
			}
			_, err := fmt.Fprintf(t.Out, "kubectl-mooring %s (%s, %s)\n", info.Version, info.GoVersion, info.Platform)
			return err
		},
	}
}
