package app

import (
	"os"
	"syscall"
	"unsafe"
)

var (
	kernel32                   = syscall.NewLazyDLL("kernel32.dll")
	setConsoleMode             = kernel32.NewProc("SetConsoleMode")
	getConsoleScreenBufferInfo = kernel32.NewProc("GetConsoleScreenBufferInfo")
)

// isTerminal is a console that understands escape sequences.
func isTerminal(f *os.File) bool {
	const processed, virtualTerminal = 1, 4
	var mode uint32
	if syscall.GetConsoleMode(syscall.Handle(f.Fd()), &mode) != nil {
		return false
	}
	r, _, _ := setConsoleMode.Call(f.Fd(), uintptr(mode|processed|virtualTerminal))
	return r != 0
}

// terminalWidth is the window's width, not that of the longer buffer behind it.
func terminalWidth(f *os.File) int {
	var info struct {
		width, height, x, y      int16
		attributes               uint16
		left, top, right, bottom int16
		maxWidth, maxHeight      int16
	}
	if r, _, _ := getConsoleScreenBufferInfo.Call(f.Fd(), uintptr(unsafe.Pointer(&info))); r == 0 {
		return 0
	}
	return int(info.right-info.left) + 1
}
