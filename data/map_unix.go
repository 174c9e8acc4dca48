//go:build unix

package data

import (
	"os"
	"syscall"
)

// canMap: a mapping is shared with every process that trains on the set, and the
// system's page cache decides what of it stays in memory.
const canMap = true

// mapFile maps a whole file for reading. A file that is cut short under a
// mapping faults where it is read: see region.touch.
func mapFile(f *os.File, size int64) ([]byte, error) {
	return syscall.Mmap(int(f.Fd()), 0, int(size), syscall.PROT_READ, syscall.MAP_SHARED)
}

func unmapFile(mem []byte) error { return syscall.Munmap(mem) }
