package cli

import (
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/mooring-dev/mooring/internal/foreign"
	"github.com/mooring-dev/mooring/nodeagent/config"
	"github.com/mooring-dev/mooring/nodeagent/local/doctor"
)

var errChecksFailed = errors.New("at least one check failed")

const doctorHelp = `Checks the configuration, the identity directory, the disk, the service, the path to the
gateway, its certificate and the clock, and names the next step for each problem.
It changes nothing, and presents no certificate to the gateway.

With --gateway-only it checks only the path to --pairing, and verifies the server there by
--gateway-ca: for a place without a machine, such as a pod that tries an install.

Exit codes:
  0   no check failed
  2   wrong use
  23  at least one check failed`

func newDoctor(build Build) *cobra.Command {
	var f flags
	var output string
	var gatewayOnly bool
	cmd := &cobra.Command{
		Use: "doctor", Short: "Finds out why this machine is not connected", Long: doctorHelp, Args: cobra.NoArgs,
		Example:     "  mooring-agent doctor\n  mooring-agent doctor -o json",
		Annotations: map[string]string{loadsSettingsItself: "yes"},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			file, _, problem := loadSettings(cmd)
			dir, err := resolveIdentityDir(f.dir)
			if err != nil {
				return err
			}
			o := doctor.Options{Config: file.Path, ConfigProblem: problem, Dir: dir, Pairing: f.pairing, Now: build.Now}
			if o.Now == nil {
				o.Now = time.Now
			}
			if gatewayOnly {
				if f.pairing == "" || f.gatewayCA == "" {
					return errors.New("--gateway-only needs --pairing HOST:PORT, the gateway to check, and --gateway-ca FILE to verify it by")
				}
				if o.CA, err = f.readCA(); err != nil {
					return err
				}
			}
			o.Service, o.ServiceProblem = build.Services()
			all := doctor.RunChecks(cmd.Context(), o)
			if output == "json" {
				err = printJSON(cmd.OutOrStdout(), all)
			} else {
				table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
				for _, c := range all {
					fmt.Fprintf(table, "%s\t%s\t%s\n", c.Result, c.Name, foreign.BriefLine(c.Found))
					if c.Next != "" {
						fmt.Fprintf(table, "\t\t-> %s\n", foreign.CleanLine(c.Next))
					}
				}
				err = table.Flush()
			}
			if !doctor.Healthy(all) {
				err = errors.Join(err, errChecksFailed)
			}
			return asRunError(err)
		},
	}
	addConfigFlag(cmd)
	config.AddFlag(cmd.Flags(), &f.dir, "identity-dir")
	config.AddFlag(cmd.Flags(), &f.pairing, "pairing")
	config.AddFlag(cmd.Flags(), &f.gatewayCA, "gateway-ca")
	cmd.Flags().BoolVar(&gatewayOnly, "gateway-only", false, "checks only the gateway, not this machine")
	addOutputFlag(cmd, &output)
	return cmd
}
