package main

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// ticksPerSecond is USER_HZ, which Linux has promised to programs for decades.
const ticksPerSecond = 100

// residentKiB is the resident memory of a process (proc(5)).
func residentKiB(pid int) (kib float64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	_, err = fmt.Sscan(rest, &kib)
	return kib, err
}

// processorTime is what the processes have used so far, user and system (proc(5)), in steps of
// 10 ms.
func processorTime(pids ...int) (total time.Duration, err error) {
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return 0, err
		}
		// The name in parentheses may hold anything; utime and stime are the 12th and 13th after it.
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

// mayOpen is how many files a process may have open.
func mayOpen(pid int) (most int, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), "Max open files")
	_, err = fmt.Sscan(rest, &most)
	return most, err
}
