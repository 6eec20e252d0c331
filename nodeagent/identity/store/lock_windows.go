package store

import (
	"io/fs"
	"os"
	"unsafe"

	"golang.org/x/sys/windows"
)

// modesEnforced is false because Go invents the mode of a file on Windows. Every file in the
// directory inherits the access list that mkdirPrivate sets.
const modesEnforced = false

// privateList is the access list of the directory in SDDL. It is protected from inheritance and
// gives full control to the system, administrators and the owner.
const privateList = "D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;FA;;;OW)"

// mkdirPrivate creates a directory that only this user, the administrators and the system can
// access.
func mkdirPrivate(dir string) error {
	descriptor, err := windows.SecurityDescriptorFromString(privateList)
	if err != nil {
		return err
	}
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return err
	}
	attributes := &windows.SecurityAttributes{SecurityDescriptor: descriptor}
	attributes.Length = uint32(unsafe.Sizeof(*attributes))
	if err := windows.CreateDirectory(name, attributes); err != nil {
		return &fs.PathError{Op: "mkdir", Path: dir, Err: err}
	}
	return nil
}

// syncFolder does nothing, because the file system's own journal keeps a rename.
func syncFolder(*os.File) error { return nil }

// lockExclusive takes the file's lock or returns an error at once. The kernel drops the lock when
// the process ends, whatever the cause.
func lockExclusive(file *os.File) error {
	return windows.LockFileEx(windows.Handle(file.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY,
		0, 1, 0, &windows.Overlapped{})
}

// unlock frees the file's lock at once. After a plain close the system may free it later.
func unlock(file *os.File) error {
	return windows.UnlockFileEx(windows.Handle(file.Fd()), 0, 1, 0, &windows.Overlapped{})
}

func owners(fs.FileInfo) (owner, self int, ok bool) { return 0, 0, false }
