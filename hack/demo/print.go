package main

import (
	"fmt"
	"strings"
	"time"
)

// narrator prints the story with the time since it began.
type narrator struct {
	began time.Time
	step  int
}

// startStep starts a new step.
func (n *narrator) startStep(format string, args ...any) {
	n.step++
	fmt.Printf("\n[%5.1fs] %d. %s\n", time.Since(n.began).Seconds(), n.step, fmt.Sprintf(format, args...))
}

// printNote adds a line to the step.
func (n *narrator) printNote(format string, args ...any) {
	fmt.Printf("         %s\n", fmt.Sprintf(format, args...))
}

// printCommand prints a command as a person would type it, and its output.
func (n *narrator) printCommand(who string, argv []string, output string) {
	words := make([]string, len(argv))
	for i, a := range argv {
		words[i] = a
		if strings.ContainsAny(a, " {}\"'*") {
			words[i] = "'" + a + "'"
		}
	}
	fmt.Printf("         %s$ %s\n", who, strings.Join(words, " "))
	for _, line := range strings.Split(strings.TrimRight(output, "\n"), "\n") {
		fmt.Printf("           %s\n", line)
	}
}
