package cli

import "io"

// terminal is none: reading from a console does not end when it is closed.
func (f *flags) terminal() io.ReadWriteCloser { return nil }
