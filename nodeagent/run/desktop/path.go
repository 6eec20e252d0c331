package desktop

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/mooring-dev/mooring/internal/foreign"
)

const maxPathBytes = 4096

// CanonicalPath returns the file or directory that a path leads to now, with symbolic links
// resolved. It rejects relative paths and files that would be run instead of shown.
func CanonicalPath(path string) (string, error) {
	switch {
	case path == "" || len(path) > maxPathBytes:
		return "", fmt.Errorf("a path has 1 to %d bytes", maxPathBytes)
	case strings.HasPrefix(filepath.VolumeName(path), `\\`):
		return "", errors.New("it is on another host, which would see who opens it")
	case foreign.CleanLine(path) != path:
		return "", errors.New("it holds characters that cannot be shown")
	case !filepath.IsAbs(path) || filepath.Clean(path) != path:
		return "", errors.New("it must be absolute, without . and .. and doubled or trailing slashes")
	}
	resolved, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", errors.New("there is no such file, or the agent may not see it")
	}
	if foreign.CleanLine(resolved) != resolved {
		return "", errors.New("it leads to a name that cannot be shown")
	}
	info, err := os.Stat(resolved)
	switch {
	case err != nil:
		return "", errors.New("there is no such file, or the agent may not see it")
	case info.IsDir():
		return resolved, checkType(resolved)
	case !info.Mode().IsRegular():
		return "", errors.New("it is neither a file nor a directory")
	case info.Mode().Perm()&0o111 != 0:
		return "", errors.New("it is a program: this capability shows files, it does not run them")
	}
	return resolved, checkType(resolved)
}
