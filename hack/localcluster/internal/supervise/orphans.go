package supervise

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// inheritedVariables lists variables of the caller that would change the behaviour of a component. etcd reads
// every flag from ETCD_*, and no access to another cluster may be inherited.
var inheritedVariables = []string{"ETCD_", "KUBECONFIG=", "KUBERNETES_", stateVariable + "=", "POD_NAMESPACE="}

func cleanEnvironment(environment []string) []string {
	return slices.DeleteFunc(slices.Clone(environment), func(entry string) bool {
		return slices.ContainsFunc(inheritedVariables, func(prefix string) bool { return strings.HasPrefix(entry, prefix) })
	})
}

// Orphans returns the running processes that an earlier supervisor of this state directory started.
// The caller must hold the supervisor lock; then no supervisor runs, and all of them must be ended.
// Process ids on disk could have been reused by now; the environment of a process is reliable.
func Orphans(state string) ([]int, error) {
	paths, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	mark := []byte(stateVariable + "=" + state)
	var pids []int
	for _, path := range paths {
		environment, err := os.ReadFile(path)
		if err != nil {
			continue // it ended meanwhile, or belongs to another user
		}
		if !slices.ContainsFunc(bytes.Split(environment, []byte{0}), func(entry []byte) bool { return bytes.Equal(entry, mark) }) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil && pid != os.Getpid() {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// KillOrphans kills the processes that Orphans returns and waits until they are gone, for at most
// 10 s.
func KillOrphans(state string) (killed []int, err error) {
	deadline := time.Now().Add(10 * time.Second)
	for {
		pids, err := Orphans(state)
		if err != nil || len(pids) == 0 {
			return killed, err
		}
		if time.Now().After(deadline) {
			return killed, fmt.Errorf("processes %v of an earlier run do not end: end them by hand", pids)
		}
		for _, pid := range pids {
			if !slices.Contains(killed, pid) {
				killed = append(killed, pid)
			}
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
