package app

import (
	"syscall"
	"unsafe"
)

var globalMemoryStatusEx = syscall.NewLazyDLL("kernel32.dll").NewProc("GlobalMemoryStatusEx")

// availableMemory is the physical memory that is free.
func availableMemory() (limit, bool) {
	// MEMORYSTATUSEX of the Windows API.
	var m struct {
		length, load                         uint32
		totalPhys, availPhys                 uint64
		totalPage, availPage                 uint64
		totalVirtual, availVirtual, extended uint64
	}
	// The call fails without it.
	m.length = uint32(unsafe.Sizeof(m))
	if r, _, _ := globalMemoryStatusEx.Call(uintptr(unsafe.Pointer(&m))); r == 0 {
		return limit{}, false
	}
	return limit{int64(m.availPhys), "of this machine's memory"}, true
}
