// Command bench measures the cost of Mooring against the cost of the same work for a plain client
// of the Kubernetes API, in one run and interleaved. It writes docs/benchmarks.md. Budgets are
// printed beside the figures; only a wrong count fails a run, never a slow machine.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

type options struct {
	out, only, note string
}

func main() {
	log.SetLogger(logr.Discard()) // or controller-runtime logs a warning
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var o options
	flag.StringVar(&o.out, "out", "", "page to write; its figures are stored beside it as .json, and rows that do not run keep theirs; empty: standard output only")
	flag.StringVar(&o.only, "only", "", "rows to run, separated by commas, by name or by the part before the dash; empty: all of "+strings.Join(rowNames(), ", "))
	flag.StringVar(&o.note, "note", "", "a remark on the machine, such as other programs that ran on it")
	small := flag.Bool("quick", false, "tiny counts, to check that everything works: the figures have no meaning and no page is written")
	rounds := flag.Int("rounds", 0, "rounds of each comparison instead of the usual number")
	most := flag.Int("largest", 0, "largest number of agents, when the machine has no room for the usual number")
	ramp := flag.Float64("ramp", 0, "agents of a crowd that start per second instead of the usual number, for a slower machine")
	hostileDir := flag.String("hostile", "", "run the hostile machine of the row neighbour with this identity directory, until standard input ends")
	endpoint := flag.String("endpoint", "", "the node endpoint that the hostile machine attacks")
	flag.Parse()
	if *hostileDir != "" {
		if err := runHostile(ctx, *hostileDir, *endpoint); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			stop()
			os.Exit(1)
		}
		return
	}
	s := full()
	if *small {
		s, o.out = quick(), ""
	}
	if *rounds > 0 {
		s.rounds = *rounds
	}
	if *ramp > 0 {
		s.ramp = *ramp
	}
	if *most > 0 {
		s = s.atMostAgents(*most)
	}
	if err := run(ctx, o, s); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

// run measures the chosen rows and stores their figures, also when some rows fail. Its error names
// the failed rows.
func run(ctx context.Context, o options, counts sizes) (err error) {
	chosen, err := chooseRows(o.only)
	if err != nil {
		return err
	}
	s := &suite{options: o, sizes: counts}
	defer func() { err = errors.Join(err, s.close()) }()
	return s.run(ctx, chosen)
}

func (s *suite) run(ctx context.Context, chosen []row) error {
	kept, err := readRecord(s.out)
	if err != nil {
		return err
	}
	began := time.Now()
	measured := record{Machine: kept.Machine, Rows: map[string]result{}}
	var failed []error
	for _, r := range chosen {
		fmt.Fprintf(os.Stderr, "%6s  %s\n", time.Since(began).Round(time.Second), r.name)
		got, err := s.measure(ctx, r)
		if errors.Is(err, errTooFewAgents) {
			fmt.Fprintf(os.Stderr, "        left out: %v\n", err)
			continue
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("measure %s: %w", r.name, err))
			fmt.Fprintf(os.Stderr, "        FAILED: %v\n", err)
		}
		var wrong *miscount
		if err == nil || errors.As(err, &wrong) {
			measured.Rows[r.name], kept.Rows[r.name] = got, got
		}
		if ctx.Err() != nil {
			break
		}
	}
	fmt.Print(measured.String())
	fmt.Fprintf(os.Stderr, "measured in %s\n", time.Since(began).Round(time.Second))
	if s.out != "" && len(measured.Rows) > 0 {
		failed = append(failed, kept.write(s.out))
	}
	return errors.Join(failed...)
}

// measure runs one row within rowTimeout.
func (s *suite) measure(ctx context.Context, r row) (result, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, rowTimeout, fmt.Errorf("the row took longer than %s", rowTimeout))
	defer cancel()
	began := time.Now()
	got, err := r.run(ctx, s)
	got.stamp(s.options, s.rounds, time.Since(began))
	return got, err
}
