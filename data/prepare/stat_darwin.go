package prepare

import (
	"io/fs"
	"syscall"
)

// identify tells a file's identity, and whether it can be trusted to change with
// the contents: on a local disk, whose ctime is this machine's own.
func identify(path string, fi fs.FileInfo) (id fileID, trusted bool) {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return id, false
	}
	const local = 0x1000 // MNT_LOCAL
	var where syscall.Statfs_t
	if err := syscall.Statfs(path, &where); err != nil {
		return id, false
	}
	id = fileID{uint64(st.Dev), st.Ino, st.Size, st.Mtimespec.Nano(), st.Ctimespec.Nano()}
	return id, where.Flags&local != 0
}
