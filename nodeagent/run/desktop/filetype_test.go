//go:build unix

package desktop

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mooring-dev/mooring/nodeagent/run/capability"
)

// The contents of files, named by the type that their beginning shows.
const (
	text    = "plain words\n"
	pdf     = "%PDF-1.7\n"
	png     = "\x89PNG\r\n\x1a\n"
	zip     = "PK\x03\x04"
	html    = "<!DOCTYPE html><script>alert(1)</script>"
	elf     = "\x7fELF\x02\x01\x01"
	starter = "[Desktop Entry]\nExec=/bin/sh\n"
)

// TestTheCorpusOfFileTypes covers files and folders that a person at the screen could be tricked
// into opening. A name that ends in / is a folder.
func TestTheCorpusOfFileTypes(t *testing.T) {
	const (
		opens = iota // like any other file
		warns        // the person is warned, and no rule opens it
		never        // rejected
	)
	for name, c := range map[string]struct {
		content string
		want    int
	}{
		"a.txt": {text, opens}, "A.TXT": {text, opens}, "a.b.txt": {text, opens}, "empty.txt": {"", opens}, "a.pdf": {pdf, opens}, "a.PnG": {png, opens},
		"a.docx": {zip, opens}, "invoice.exe.pdf": {pdf, opens}, "data.json": {"{}", opens}, "a b.txt": {text, opens}, "entry.txt": {starter, opens},
		"folder/": {"", opens}, ".hidden/": {"", opens},

		// The content does not match the suffix; some desktops decide by the content.
		"page.txt": {html, warns}, "elf.txt": {elf, warns}, "elf.pdf": {elf, warns}, "zip.png": {zip, warns}, "pdf.docx": {pdf, warns}, "text.pdf": {text, warns},
		// Windows.
		"a.msc": {text, warns}, "a.cpl": {elf, warns}, "a.pif": {elf, warns}, "a.chm": {text, warns}, "a.iso": {text, warns}, "a.vhdx": {text, warns},
		"a.settingcontent-ms": {text, warns}, "a.appref-ms": {text, warns}, "a.library-ms": {text, warns}, "a.search-ms": {text, warns}, "a.msix": {zip, warns},
		"a.appinstaller": {text, warns}, "a.xll": {elf, warns}, "a.docm": {zip, warns}, "a.xlsm": {zip, warns}, "a.iqy": {text, warns}, "a.slk": {text, warns},
		"a.rdp": {text, warns}, "a.theme": {text, warns}, "a.scf": {text, warns}, "a.gadget": {zip, warns}, "a.ps1xml": {text, warns}, "a.wsh": {text, warns},
		"a.cmdline": {text, warns}, "a.exe.": {elf, never}, "a.exe...": {elf, never}, "a.exe ": {elf, never}, "a.exe. .": {elf, never}, "a.bat:x.txt": {text, never},
		"a.txt:b": {text, warns}, "a.txt::$DATA": {text, warns}, "a.txt:evil.exe": {text, warns}, "a.txt.": {text, warns}, "a.txt ": {text, warns},
		"report.pdf.exe": {elf, never}, "a.EXE": {elf, never}, "a.Exe": {elf, never}, "a.pdf.lnk": {text, never},
		"AUTOEX~1.BAT": {text, never}, "folder.{20D04FE0-3AEA-1069-A2D8-08002B30309D}/": {"", warns},
		// macOS: files, and folders that are programs.
		"a.inetloc": {text, warns}, "a.fileloc": {text, warns}, "a.terminal": {text, warns}, "a.tool": {text, warns}, "a.dmg": {text, warns}, "a.scpt": {text, warns},
		"a.mobileconfig": {text, warns}, "a.pkg": {text, warns}, "a.webloc": {text, never}, "a.command": {text, never},
		"a.app/": {"", never}, "a.workflow/": {"", warns}, "a.prefPane/": {"", warns}, "a.pkg/": {"", warns}, "a.saver/": {"", warns}, "a.rtfd/": {"", warns}, "a.txt/": {"", warns},
		// Linux, and every system.
		"a.flatpakref": {text, warns}, "a.flatpakrepo": {text, warns}, "a.snap": {text, warns}, "a.deb": {text, warns}, "a.rpm": {text, warns}, "a.service": {text, warns},
		"a.desktop": {starter, never}, "a.desktop.": {starter, never}, "a.appimage": {elf, never}, "a.kwinscript": {zip, warns}, "a.plasmoid": {zip, warns},
		"a.html": {html, warns}, "a.svg": {text, warns}, "a.xml": {text, warns}, "a.jnlp": {text, warns}, "a.odt": {zip, warns}, "a.ics": {text, warns}, "a.torrent": {text, warns},
		"a.ipynb": {"{}", warns}, "a.zip": {zip, warns}, "a.tar.gz": {text, warns}, "a.py": {text, never}, "a.js": {text, never},
		// Without a type.
		"README": {text, warns}, "elf": {elf, warns}, ".txt": {text, warns}, ".bashrc": {text, warns}, ".exe": {elf, never}, "a.": {text, warns}, "a..": {text, warns}, "...txt": {text, opens}, ".a.txt": {text, opens},
		// With letters that only look like those of a known type.
		"a.tхt": {text, warns}, "a.ｔｘｔ": {text, warns}, "a.txt٠": {text, warns},
	} {
		t.Run(name, func(t *testing.T) {
			dir, err := filepath.EvalSymlinks(t.TempDir())
			must(t, err)
			path := filepath.Join(dir, strings.TrimSuffix(name, "/"))
			if strings.HasSuffix(name, "/") {
				must(t, os.Mkdir(path, 0o755))
			} else {
				must(t, os.WriteFile(path, []byte(c.content), 0o644))
			}
			link := filepath.Join(dir, "link to it.txt")
			must(t, os.Symlink(path, link))
			for _, asked := range []string{path, link} {
				got, err := CanonicalPath(asked)
				if (err != nil) != (c.want == never) {
					t.Errorf("%q: %q, %v", asked, got, err)
				}
				if err == nil && (typeWarning(got, nil) != "") != (c.want == warns) {
					t.Errorf("%q: warning %q", asked, typeWarning(got, nil))
				}
			}
		})
	}
}

func TestATypeThatThePolicyNamesIsKnown(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.odt")
	must(t, os.WriteFile(path, []byte(zip), 0o644))
	if got := typeWarning(path, []string{".odt"}); got != "" {
		t.Errorf("a known type: %q", got)
	}
	if got := typeWarning(path, []string{".odp"}); got == "" {
		t.Error("an unknown type has no warning")
	}
	if got := typeWarning(path+".", []string{".odt"}); got == "" {
		t.Error("a name that Windows reads as a known one has no warning")
	}
}

func TestAFileThatBecameUnknownAfterTheYesIsNotOpened(t *testing.T) {
	opener, record := fakeOpener(t)
	e := newEntry(t, opener, "desktop.open_path")
	path := filepath.Join(t.TempDir(), "a.txt")
	must(t, os.WriteFile(path, []byte(text), 0o600))
	input, err := json.Marshal(map[string]string{"path": path})
	must(t, err)
	target, err := e.Target(input)
	must(t, err)
	warning := e.Warning(target)
	must(t, os.WriteFile(path, []byte(elf), 0o600))
	if _, err := e.Run(t.Context(), capability.Request{Input: input, Target: target, Warning: warning}); err == nil || !strings.Contains(err.Error(), "TargetChanged") {
		t.Errorf("another content: %v", err)
	}
	if _, err := os.Stat(record); err == nil {
		t.Error("something was opened")
	}
}
