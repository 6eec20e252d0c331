package store

import (
	"io/fs"
	"os"
	"unsafe"

	"golang.org/x/sys/windows"
)

// modesCount: Go makes the mode of a file up here. The access list that makePrivate gives
// the directory is inherited by every file in it.
const modesCount = false

// privateList is the access list of the directory in SDDL: protected from what is above;
// full control for the system, administrators and the owner.
const privateList = "D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;FA;;;OW)"

// makePrivate makes a directory that is this user's, the administrators' and the system's.
func makePrivate(dir string) error {
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

// syncFolder does nothing: a rename is in the file system's own journal here.
func syncFolder(*os.File) error { return nil }

// lockExclusive takes the file's lock or errs at once. The kernel drops it when
// the process ends, however that happens.
func lockExclusive(file *os.File) error {
	return windows.LockFileEx(windows.Handle(file.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY,
		0, 1, 0, &windows.Overlapped{})
}

// unlock frees the file's lock at once. After a mere close the system does so when it gets to it.
func unlock(file *os.File) error {
	return windows.UnlockFileEx(windows.Handle(file.Fd()), 0, 1, 0, &windows.Overlapped{})
}

func owners(fs.FileInfo) (owner, self int, ok bool) { return 0, 0, false }
