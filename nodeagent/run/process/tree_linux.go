package process

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// maxScans bounds the scans of a tree before kill gives up. A tree can start new processes while it
// is killed.
const maxScans = 200

// sysProcAttr returns attributes that give a program its own session and make the kernel kill it
// when the agent ends.
func sysProcAttr(user *User) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	if user != nil {
		a.Credential = &syscall.Credential{Uid: user.UID, Gid: user.GID, Groups: user.Groups}
	}
	return a
}

func detachedSysProcAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// executeFile makes cmd run an open file instead of its path. The number of the file's descriptor
// is above the numbers that os/exec moves around in the child. The start of the program closes it.
func executeFile(cmd *exec.Cmd, program *os.File) (release func(), err error) {
	if program == nil {
		return func() {}, nil
	}
	above := 64
	for _, file := range cmd.ExtraFiles {
		above = max(above, 2*int(file.Fd()))
	}
	fd, err := unix.FcntlInt(program.Fd(), unix.F_DUPFD_CLOEXEC, above)
	if err != nil {
		return nil, err
	}
	cmd.Path = "/proc/self/fd/" + strconv.Itoa(fd)
	return func() { unix.Close(fd) }, nil
}

// tree is a program and all processes that it started.
type tree struct {
	root int
	mark string
}

// wait waits for the program's end and ends the rest of the tree before it reaps the program. Until
// then no other process can get the program's pid, which is also the session's id.
func (t *tree) wait(cmd *exec.Cmd) error {
	for {
		err := unix.Waitid(unix.P_PID, t.root, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	survivors := t.kill()
	return errors.Join(cmd.Wait(), survivors)
}

// terminate sends SIGTERM to the whole tree.
func (t *tree) terminate() { signalAll(t.members(), unix.SIGTERM) }

// kill ends the whole tree, however much it forks. It first stops every process until no new one
// appears, and then kills them until none is left.
func (t *tree) kill() error {
	stopped := 0
	for range maxScans {
		found := t.members()
		signalAll(found, unix.SIGSTOP)
		if len(found) == stopped {
			break
		}
		stopped = len(found)
	}
	var found []procStat
	for round := range maxScans {
		if found = t.members(); len(found) == 0 {
			return nil
		}
		signalAll(found, unix.SIGKILL)
		time.Sleep(min(time.Duration(round)*time.Millisecond, 10*time.Millisecond))
	}
	return fmt.Errorf("%w: %d are left, among them process %d", ErrSurvivors, len(found), found[0].pid)
}

// KillMarked ends every process whose mark begins with prefix. These are the processes that a
// killed agent left behind.
func KillMarked(prefix string) error {
	if prefix == "" {
		return nil
	}
	return (&tree{root: -1, mark: prefix}).kill()
}

// procStat is the content of a file /proc/PID/stat.
type procStat struct {
	pid, parent, group, session int
	dead                        bool
	started                     uint64
}

// members returns the living processes of the tree.
func (t *tree) members() []procStat {
	all := listProcesses()
	included := map[int]bool{}
	self := os.Getpid()
	for _, p := range all {
		if p.pid != self && (p.session == t.root || p.group == t.root || t.hasMark(p.pid)) {
			included[p.pid] = true
		}
	}
	for changed := true; changed; {
		changed = false
		for _, p := range all {
			if p.pid != self && !included[p.pid] && included[p.parent] {
				included[p.pid], changed = true, true
			}
		}
	}
	var members []procStat
	for _, p := range all {
		if included[p.pid] && !p.dead {
			members = append(members, p)
		}
	}
	return members
}

// hasMark reports whether a process was started with the tree's mark. The agent cannot read the
// environment of other users' processes or of dead ones.
func (t *tree) hasMark(pid int) bool {
	if t.mark == "" {
		return false
	}
	environment, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil {
		return false
	}
	for variable := range bytes.SplitSeq(environment, []byte{0}) {
		if value, ok := strings.CutPrefix(string(variable), markVariable+"="); ok {
			return strings.HasPrefix(value, t.mark)
		}
	}
	return false
}

func listProcesses() []procStat {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	var all []procStat
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			if p, ok := readStat(pid); ok {
				all = append(all, p)
			}
		}
	}
	return all
}

// readStat reads /proc/PID/stat (proc_pid_stat(5)). The name in it may hold any characters, so the
// fields are counted from the last parenthesis.
func readStat(pid int) (procStat, bool) {
	line, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return procStat{}, false
	}
	fields := strings.Fields(string(line[bytes.LastIndexByte(line, ')')+1:]))
	if len(fields) < 20 {
		return procStat{}, false
	}
	p := procStat{pid: pid, dead: fields[0] == "Z" || fields[0] == "X"}
	for at, field := range map[int]*int{1: &p.parent, 2: &p.group, 3: &p.session} {
		*field, _ = strconv.Atoi(fields[at])
	}
	p.started, err = strconv.ParseUint(fields[19], 10, 64)
	return p, err == nil
}

// signalAll signals the processes, but no other process that got one of their ids meanwhile.
func signalAll(all []procStat, signal unix.Signal) {
	for _, p := range all {
		fd, err := unix.PidfdOpen(p.pid, 0)
		if err != nil {
			continue // the process has ended
		}
		if now, ok := readStat(p.pid); ok && now.started == p.started {
			_ = unix.PidfdSendSignal(fd, signal, nil, 0) // a process that cannot be signalled is a survivor
		}
		unix.Close(fd)
	}
}
