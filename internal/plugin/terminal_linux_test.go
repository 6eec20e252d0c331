package plugin

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// shownAt returns the first line that a terminal with that many columns displays.
func shownAt(t *testing.T, columns int, shown picture) string {
	t.Helper()
	screen, tty := openTerminal(t)
	defer screen.Close()
	if err := unix.IoctlSetWinsize(int(tty.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 50, Col: uint16(columns)}); err != nil {
		t.Fatal(err)
	}
	written := make(chan error, 1)
	go func() {
		err := shown.show(tty)
		tty.Close()
		written <- err
	}()
	reader := bufio.NewReader(screen)
	line, err := reader.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	// Read the rest so that the writer can end; the error is the end of the output.
	for err == nil {
		_, err = reader.ReadString('\n')
	}
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	return line
}

func TestATerminalGetsItsColoursOrAClearWord(t *testing.T) {
	drawn, err := newPicture(longInvitation)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "")
	if line := shownAt(t, 100, drawn); !strings.HasPrefix(line, blackOnWhite+"  ") {
		t.Errorf("a wide terminal shows %q", line)
	}
	if line := shownAt(t, drawn.width()-1, drawn); !strings.Contains(line, "--png FILE") {
		t.Errorf("a narrow terminal shows %q", line)
	}
	t.Setenv("NO_COLOR", "1")
	if line := shownAt(t, 100, drawn); !strings.HasPrefix(line, "██") {
		t.Errorf("without colours it shows %q", line)
	}
}

// onTerminal returns all output that write shows on a terminal.
func onTerminal(t *testing.T, write func(tty *os.File)) string {
	t.Helper()
	screen, tty := openTerminal(t)
	defer screen.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		write(tty)
		tty.Close()
	}()
	shown, _ := io.ReadAll(screen) // the error is the end of the output
	<-done
	return strings.ReplaceAll(string(shown), "\r\n", "\n")
}

// openTerminal opens a pseudo-terminal.
func openTerminal(t *testing.T) (screen, tty *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatalf("open a pseudo-terminal: %v", err)
	}
	if err := unix.IoctlSetPointerInt(int(screen.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(screen.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return screen, tty
}
