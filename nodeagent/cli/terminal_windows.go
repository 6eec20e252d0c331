package cli

import "io"

// terminal returns nil: closing a console does not end a read from it.
func (f *flags) terminal() io.ReadWriteCloser { return nil }
