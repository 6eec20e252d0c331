package process

import (
	"errors"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// isInit is true in PID 1 of a container, which inherits the orphans of all other processes.
var isInit = os.Getpid() == 1

// init locks the goroutine of main to the main thread. Only an init function can do that.
func init() {
	if isInit {
		runtime.LockOSThread()
	}
}

// RunAsInit runs main and returns its exit code. As PID 1 the process also reaps the orphans that
// the kernel assigns to it, which would otherwise stay zombies. The main goroutine must call it.
//
// The kernel makes orphans children of the main thread. A program that Go starts is the child of
// the thread that starts it. The main thread starts no program, because main runs on another
// thread. RunAsInit waits for the children of the main thread alone (__WNOTHREAD of wait(2)), so it
// never takes the exit status from an os/exec.Cmd.
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
