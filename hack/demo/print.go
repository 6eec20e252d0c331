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

// say starts a new step.
func (n *narrator) say(format string, args ...any) {
	n.step++
	fmt.Printf("\n[%5.1fs] %d. %s\n", time.Since(n.began).Seconds(), n.step, fmt.Sprintf(format, args...))
}

// note adds a line to the step.
func (n *narrator) note(format string, args ...any) {
	fmt.Printf("         %s\n", fmt.Sprintf(format, args...))
}

// show prints a command as a person would type it, and its output.
func (n *narrator) show(who string, argv []string, output string) {
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
