package desktop

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// displayedTypes are the file types that programs only display: the suffix of the name, and the
// prefixes of the content types (http.DetectContentType) that such a file can have. Every other
// type is unknown: opening the file may run a program, so the person is warned.
var displayedTypes = map[string][]string{
	".txt": {"text/plain"}, ".log": {"text/plain"}, ".md": {"text/plain"}, ".csv": {"text/plain"}, ".tsv": {"text/plain"},
	".json": {"text/plain"}, ".yaml": {"text/plain"}, ".yml": {"text/plain"},
	".pdf": {"application/pdf"},
	".png": {"image/png"}, ".jpg": {"image/jpeg"}, ".jpeg": {"image/jpeg"}, ".gif": {"image/gif"}, ".bmp": {"image/bmp"}, ".webp": {"image/webp"},
	".mp3": {"audio/mpeg"}, ".wav": {"audio/wave"}, ".ogg": {"application/ogg"}, ".oga": {"application/ogg"}, ".ogv": {"application/ogg"},
	".mp4": {"video/mp4"}, ".webm": {"video/webm"},
	".docx": {"application/zip"}, ".xlsx": {"application/zip"}, ".pptx": {"application/zip"},
}

// deniedTypes are the types that every desktop runs, or follows to another file. They are rejected,
// whatever a person answers. The list need not be complete: a type that is in neither list has its
// warning.
var deniedTypes = []string{".desktop", ".directory", ".exe", ".bat", ".cmd", ".com", ".scr", ".msi", ".lnk", ".url", ".webloc", ".app", ".command",
	".jar", ".sh", ".bash", ".csh", ".py", ".pl", ".rb", ".ps1", ".vbs", ".vbe", ".js", ".jse", ".wsf", ".hta", ".reg", ".run", ".appimage"}

// fileSuffix returns the suffix of a name in lower case, as the most lenient system reads it:
// Windows drops dots and spaces at the end, and takes the part after a colon for a stream of the
// file. The result exact reports whether the name is the same on every system and has more than a
// suffix.
func fileSuffix(path string) (suffix string, exact bool) {
	name := filepath.Base(path)
	plain, _, _ := strings.Cut(name, ":")
	plain = strings.TrimRight(plain, ". ")
	suffix = filepath.Ext(plain)
	return strings.ToLower(suffix), plain == name && plain != suffix
}

// checkType returns an error for a file that is never opened.
func checkType(path string) error {
	if suffix, _ := fileSuffix(path); slices.Contains(deniedTypes, suffix) {
		return fmt.Errorf("files that end in %s are run when they are opened; this capability shows files only", suffix)
	}
	return nil
}

// typeWarning returns a warning for the person about a file or folder that opening might run. The
// warning is empty for a file that is known to be only displayed. known are the types that the
// machine's policy adds.
func typeWarning(path string, known []string) string {
	info, err := os.Stat(path)
	suffix, exact := fileSuffix(path)
	switch {
	case err != nil:
		return "the agent cannot inspect it"
	case info.IsDir() && (suffix == "" && exact || strings.EqualFold(suffix, filepath.Base(path))): // .config is a hidden folder: its name is only a suffix
		return ""
	case info.IsDir():
		return "a folder with such a name can be a program or open one"
	case exact && slices.Contains(known, suffix):
		return ""
	case !exact || displayedTypes[suffix] == nil:
		return "the agent does not know this type of file: opening it may run a program"
	}
	switch found, err := detectContentType(path); {
	case err != nil:
		return "the agent cannot read it"
	case !slices.ContainsFunc(displayedTypes[suffix], func(want string) bool { return strings.HasPrefix(found, want) }):
		return fmt.Sprintf("its content is not that of a file that ends in %s: opening it may run a program", suffix)
	}
	return ""
}

func detectContentType(path string) (string, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|nonBlocking, 0)
	if err != nil {
		return "", err
	}
	defer file.Close()
	head, err := io.ReadAll(io.LimitReader(file, 512))
	return http.DetectContentType(head), err
}
