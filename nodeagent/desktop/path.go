package desktop

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mooring-dev/mooring/internal/foreign"
)

const maxPathBytes = 4096

// runnable are files that a desktop runs, or follows elsewhere, when they are opened.
var runnable = []string{".desktop", ".directory", ".exe", ".bat", ".cmd", ".com", ".scr", ".msi", ".lnk", ".url", ".webloc", ".app", ".command",
	".jar", ".sh", ".bash", ".csh", ".py", ".pl", ".rb", ".ps1", ".vbs", ".vbe", ".js", ".jse", ".wsf", ".hta", ".reg", ".run", ".appimage"}

// CanonicalPath finds the file or directory that a path stands for now, symbolic links
// followed. It refuses relative paths and what would be run instead of shown.
func CanonicalPath(path string) (string, error) {
	switch {
	case path == "" || len(path) > maxPathBytes:
		return "", fmt.Errorf("a path has 1 to %d bytes", maxPathBytes)
	case foreign.Line(path) != path:
		return "", errors.New("it holds characters that cannot be shown")
	case !filepath.IsAbs(path) || filepath.Clean(path) != path:
		return "", errors.New("it must be absolute, without . and .. and doubled or trailing slashes")
	}
	resolved, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", errors.New("there is no such file, or the agent may not see it")
	}
	if foreign.Line(resolved) != resolved {
		return "", errors.New("it leads to a name that cannot be shown")
	}
	info, err := os.Stat(resolved)
	switch {
	case err != nil:
		return "", errors.New("there is no such file, or the agent may not see it")
	case info.IsDir():
		return resolved, checkExtension(resolved)
	case !info.Mode().IsRegular():
		return "", errors.New("it is neither a file nor a directory")
	case info.Mode().Perm()&0o111 != 0:
		return "", errors.New("it is a program: this capability shows files, it does not run them")
	}
	return resolved, checkExtension(resolved)
}

func checkExtension(path string) error {
	if extension := strings.ToLower(filepath.Ext(path)); slices.Contains(runnable, extension) {
		return fmt.Errorf("files that end in %s are run when they are opened; this capability shows files only", extension)
	}
	return nil
}
