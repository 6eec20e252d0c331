package main

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// ticksPerSecond is USER_HZ, a constant of Linux's interface for programs.
const ticksPerSecond = 100

// residentKiB returns the resident memory of a process (proc(5)).
func residentKiB(pid int) (kib float64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	_, err = fmt.Sscan(rest, &kib)
	return kib, err
}

// processorTime returns the user and system time that the processes have used so far (proc(5)), in
// steps of 10 ms.
func processorTime(pids ...int) (total time.Duration, err error) {
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return 0, err
		}
		// The name in parentheses may contain any character; utime and stime are the 12th and 13th
		// field after it.
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		for _, field := range fields[11:13] {
			var ticks int64
			if _, err := fmt.Sscan(field, &ticks); err != nil {
				return 0, fmt.Errorf("read /proc/%d/stat: %w", pid, err)
			}
			total += time.Duration(ticks) * time.Second / ticksPerSecond
		}
	}
	return total, nil
}

// openFileLimit returns how many files a process may have open.
func openFileLimit(pid int) (limit int, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), "Max open files")
	_, err = fmt.Sscan(rest, &limit)
	return limit, err
}
