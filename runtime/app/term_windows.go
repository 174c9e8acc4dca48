package app

import (
	"os"
	"syscall"
	"unsafe"
)

// Loaded by name: the standard library has no wrappers for them, and a
// generated binary imports nothing else.
var (
	kernel32                   = syscall.NewLazyDLL("kernel32.dll")
	setConsoleMode             = kernel32.NewProc("SetConsoleMode")
	getConsoleScreenBufferInfo = kernel32.NewProc("GetConsoleScreenBufferInfo")
)

// isTerminal is a console that understands escape sequences.
func isTerminal(f *os.File) bool {
	// Bits of the console's mode: interpret control characters, and escape
	// sequences.
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
	// CONSOLE_SCREEN_BUFFER_INFO: the buffer's size, the cursor, attributes,
	// the window's edges, the largest window.
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
