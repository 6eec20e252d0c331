//go:build linux

package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/mooring-dev/mooring/hack/dev/poll"
)

// initTestVariable is the variable that makes the test binary run as PID 1 of its own namespace.
const initTestVariable = "MOORING_TEST_INIT"

// runInitTest runs programs that leave orphans beside programs whose exit status counts. It prints
// the number of correct statuses and the number of remaining zombies.
func runInitTest() int {
	right := make(chan bool, 80)
	var all sync.WaitGroup
	for i := range cap(right) / 2 {
		all.Go(func() {
			_, err := Run(context.Background(), Command{
				Argv: []string{"/bin/sh", "-c", fmt.Sprintf("(setsid true &); (setsid sleep 100 &); (sleep 0.05 & sleep 0.06 &); exit %d", i)},
				Env:  []string{"PATH=/usr/bin:/bin"}, Mark: fmt.Sprintf("init/%02d", i), MaxOutput: 100,
			})
			var exit *exec.ExitError
			if i > 0 && (!errors.As(err, &exit) || exit.ExitCode() != i) {
				fmt.Printf("program %d: %v\n", i, err)
			}
			right <- i == 0 && err == nil || i > 0 && errors.As(err, &exit) && exit.ExitCode() == i
		})
		// A capability of another build starts programs itself and may wait for them late.
		all.Go(func() {
			cmd := exec.Command("/bin/sh", "-c", fmt.Sprintf("(setsid true &); exit %d", i))
			err := cmd.Start()
			time.Sleep(20 * time.Millisecond) // long enough for the program to end
			waited := cmd.Wait()
			if err != nil || cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != i {
				fmt.Printf("command %d: %v, %v\n", i, err, waited)
			}
			right <- err == nil && cmd.ProcessState != nil && cmd.ProcessState.ExitCode() == i
		})
	}
	all.Wait()
	good := 0
	for range cap(right) {
		if <-right {
			good++
		}
	}
	zombies := 0
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_ = poll.UntilTrue(ctx, func() bool { // the count is the result
		zombies = 0
		for _, p := range listProcesses() {
			if p.dead {
				zombies++
			}
		}
		return zombies == 0
	})
	fmt.Printf("pid %d, %d right, %d zombies\n", os.Getpid(), good, zombies)
	return 7
}

func TestPID1ReapsOrphansAndNoExitStatusIsLost(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	cmd := exec.Command("unshare", "--pid", "--fork", "--mount-proc", os.Args[0])
	cmd.Env = append(os.Environ(), initTestVariable+"=1")
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != 7 || string(out) != "pid 1, 80 right, 0 zombies\n" {
		t.Errorf("%s, %v", out, err)
	}
}
