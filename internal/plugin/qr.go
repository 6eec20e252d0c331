package plugin

import (
	"fmt"
	"io"
	"os"
	"strings"

	qrcode "github.com/piglig/go-qr"
	"golang.org/x/term"
)

const (
	// quietZone is the width in modules of the light border that scanners need (ISO/IEC 18004).
	quietZone = 4
	// pngScale is the width of a module in pixels; the whole picture is about 450 pixels wide.
	pngScale = 8

	// blackOnWhite uses two of the 256 colours that terminal themes do not change: scanners need
	// dark on light, whatever colours the terminal has.
	blackOnWhite = "\x1b[38;5;16;48;5;231m"
	resetColours = "\x1b[0m"
)

// picture is a QR code with its border.
type picture struct{ code *qrcode.QrCode }

// newPicture draws text. It uses the lowest level of error correction, which makes the smallest
// picture, because a screen has no scratches.
func newPicture(text string) (picture, error) {
	code, err := qrcode.EncodeText(text, qrcode.Low)
	if err != nil {
		return picture{}, fmt.Errorf("draw the QR code: %w", err)
	}
	return picture{code}, nil
}

// width returns the number of modules in a row and in a column. A drawn line holds two rows of
// modules.
func (p picture) width() int { return p.code.Size() + 2*quietZone }

// dark reports whether a module is dark; modules of the border are light.
func (p picture) dark(x, y int) bool { return p.code.Module(x-quietZone, y-quietZone) }

// text draws two modules in each character. Without colours it draws the light modules and leaves
// the dark ones blank, which is correct for light text on a dark background.
func (p picture) text(colours bool) string {
	var out strings.Builder
	for y := 0; y < p.width(); y += 2 {
		if colours {
			out.WriteString(blackOnWhite)
		}
		for x := range p.width() {
			upper, lower := p.dark(x, y), p.dark(x, y+1)
			if !colours {
				upper, lower = !upper, !lower
			}
			out.WriteString(halfBlock(upper, lower))
		}
		if colours {
			out.WriteString(resetColours)
		}
		out.WriteByte('\n')
	}
	return out.String()
}

func halfBlock(upper, lower bool) string {
	switch {
	case upper && lower:
		return "█"
	case upper:
		return "▀"
	case lower:
		return "▄"
	default:
		return " "
	}
}

func (p picture) png(w io.Writer) error {
	return p.code.WriteAsPNG(qrcode.NewQrCodeImgConfig(pngScale, quietZone), w)
}

// show draws the picture on out, with colours if out is a terminal that supports them.
func (p picture) show(out io.Writer) error {
	text := p.text(false)
	if file, ok := out.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		text = p.text(os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb")
		if columns, _, err := term.GetSize(int(file.Fd())); err == nil && columns > 0 && columns < p.width() {
			text = fmt.Sprintf("The QR code needs %d columns and the terminal has %d: make it wider, or write the picture to a file with --png FILE.\n", p.width(), columns)
		}
	}
	_, err := fmt.Fprintln(out, text)
	return err
}
