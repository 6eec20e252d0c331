// Package logfile shows the log that an agent writes to a file of its own.
package logfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/mooring-dev/mooring/nodeagent/transport/backoff"
)

const (
	// maxTailBytes bounds the output to the end of the file, in bytes.
	maxTailBytes = 64 << 10
	// followInterval is the interval between two reads of a followed file.
	followInterval = 200 * time.Millisecond
)

// Copy writes the end of the file to out. With follow it also copies appended lines until ctx ends,
// and continues with a new file of the same name.
func Copy(ctx context.Context, out io.Writer, path string, follow bool) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	defer func() { file.Close() }()
	if info, err := file.Stat(); err == nil && info.Size() > maxTailBytes {
		if _, err := file.Seek(-maxTailBytes, io.SeekEnd); err != nil {
			return fmt.Errorf("read log: %w", err)
		}
	}
	for {
		if _, err := io.Copy(out, file); err != nil {
			return fmt.Errorf("read log: %w", err)
		}
		if !follow || backoff.Sleep(ctx, followInterval) != nil {
			return nil
		}
		next, err := os.Open(path)
		if errors.Is(err, os.ErrNotExist) {
			continue // the file is being rotated
		}
		if err != nil {
			return fmt.Errorf("open log: %w", err)
		}
		if sameFile(file, next) {
			next.Close()
			continue
		}
		if _, err := io.Copy(out, file); err != nil {
			return fmt.Errorf("read log: %w", err)
		}
		file.Close()
		file = next
	}
}

func sameFile(a, b *os.File) bool {
	first, err := a.Stat()
	if err != nil {
		return false
	}
	second, err := b.Stat()
	return err == nil && os.SameFile(first, second)
}
