package cli

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"

	"github.com/mooring-dev/mooring/internal/pairing"
	"github.com/mooring-dev/mooring/nodeagent/ownfile"
)

// maxURIBytes is more than the length of any pairing URI: a longer input is another file.
const maxURIBytes = 4096

// readInvitation returns the URI of a QR code from the flag, the environment, a file or standard
// input. At a terminal it prints a prompt on promptOut. No error contains the URI.
func (f *flags) readInvitation(in io.Reader, promptOut io.Writer) (*pairing.Invitation, error) {
	text := f.pair
	if text == "" {
		text = os.Getenv("MOORING_PAIR")
	}
	if text == "" {
		return nil, nil
	}
	if f.pairing != "" || f.code != "" || os.Getenv("MOORING_PAIRING_CODE") != "" {
		return nil, errors.New("--pair says both the address and the code: leave out --pairing and --code")
	}
	path, isFile := strings.CutPrefix(text, "@")
	var err error
	switch {
	case text == "-":
		if isTerminal(in) {
			fmt.Fprintln(promptOut, "Scan the QR code or paste the pairing URI, then press Enter:")
		}
		text, err = readFirstLine(in)
	case isFile:
		text, err = readFirstLineOfFile(path)
	}
	if err != nil {
		return nil, asFileError(fmt.Errorf("--pair: %w", err))
	}
	invitation, err := pairing.ParseURI(strings.TrimFunc(text, isURIPadding))
	if err != nil {
		return nil, fmt.Errorf("--pair: %w; give the whole URI in quotes, - to read it from standard input, or @FILE", err)
	}
	return &invitation, nil
}

// isURIPadding reports whether a character is white space or has no width, such as a BOM: editors
// and mail programs put them around a URI.
func isURIPadding(r rune) bool { return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) }

// readFirstLineOfFile returns the first line of a file. The URI decides which gateway this machine
// obeys, so no other user may be able to write the file. A pipe, such as /dev/stdin, is read
// without that check.
func readFirstLineOfFile(path string) (string, error) {
	if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
		content, err := ownfile.Read(path)
		if err != nil {
			return "", fmt.Errorf("%w; or give the file as standard input: --pair - < %s", err, path)
		}
		return readFirstLine(bytes.NewReader(content))
	}
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	return readFirstLine(file)
}

// readFirstLine returns the first line without waiting for the end of the input: a person or a
// scanner at the terminal ends the line with Enter.
func readFirstLine(in io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(in, maxURIBytes)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read pairing URI: %w", err)
	}
	return line, nil
}

func isTerminal(in io.Reader) bool {
	file, ok := in.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
