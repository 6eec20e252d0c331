package state

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ErrLocked reports that another process holds the lock.
var ErrLocked = errors.New("locked by another process")

// lockPoll is the interval of attempts to take a lock.
const lockPoll = 50 * time.Millisecond

// Lock is an flock(2): the kernel releases it when its process ends in any way, so that a lock file
// without a process has no effect.
type Lock struct{ file *os.File }

// TryLock takes the lock at path and writes this process's id into the file, or returns ErrLocked.
func TryLock(path string) (*Lock, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = file.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, ErrLocked
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	// The id is for people and for `down`; the lock itself does not need it.
	err = errors.Join(file.Truncate(0), writeAt(file, strconv.Itoa(os.Getpid())))
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("write lock %s: %w", path, err)
	}
	return &Lock{file: file}, nil
}

// WaitLock calls TryLock repeatedly until it succeeds or ctx ends.
func WaitLock(ctx context.Context, path string) (*Lock, error) {
	for {
		lock, err := TryLock(path)
		if !errors.Is(err, ErrLocked) {
			return lock, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for %s, held by process %d: %w", path, Holder(path), context.Cause(ctx))
		case <-time.After(lockPoll):
		}
	}
}

// Release releases the lock.
func (l *Lock) Release() { _ = l.file.Close() }

// Holder returns the process id in a lock file, 0 when it is unreadable. The id is valid only while
// the lock is held.
func Holder(path string) int {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		return 0
	}
	return pid
}

func writeAt(file *os.File, text string) error {
	_, err := file.WriteAt([]byte(text), 0)
	return err
}
