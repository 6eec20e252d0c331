package process

import (
	"errors"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// isInit: this process is PID 1 of a container, which inherits the orphans of all others.
var isInit = os.Getpid() == 1

// The goroutine of main stays on the main thread only when that is decided here.
func init() {
	if isInit {
		runtime.LockOSThread()
	}
}

// RunAsInit runs main and returns its exit code. In a process that is PID 1 it also reaps
// the orphans that the kernel hands to it, which would stay zombies otherwise. It must be
// called by the main goroutine.
//
// The kernel makes orphans children of the main thread, and a program that Go starts the child
// of the thread that starts it. The main thread starts none while main runs on another
// one, so waiting for the children of the main thread alone (__WNOTHREAD of wait(2)) never takes
// the exit status from an os/exec.Cmd.
func RunAsInit(main func() int) int {
	if !isInit {
		return main()
	}
	children, ended := make(chan os.Signal, 1), make(chan int, 1)
	signal.Notify(children, syscall.SIGCHLD)
	defer signal.Stop(children)
	go func() { ended <- main() }()
	for {
		reapOrphans()
		select {
		case <-children:
		case code := <-ended:
			return code
		}
	}
}

func reapOrphans() {
	for {
		pid, err := unix.Wait4(-1, nil, unix.WNOHANG|unix.WNOTHREAD, nil)
		if !errors.Is(err, unix.EINTR) && pid <= 0 {
			return
		}
	}
}
