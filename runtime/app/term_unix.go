//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package app

import (
	"os"
	"syscall"
	"unsafe"
)

// struct winsize of ioctl_tty(2): characters first, then pixels.
type winsize struct{ rows, cols, x, y uint16 }

// windowOf asks the terminal driver for the size of the window.
func windowOf(f *os.File) (w winsize, ok bool) {
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), syscall.TIOCGWINSZ, uintptr(unsafe.Pointer(&w)))
	return w, errno == 0
}

// isTerminal asks for a window's size: only terminals have one.
func isTerminal(f *os.File) bool {
	_, ok := windowOf(f)
	return ok
}

// terminalWidth is 0 when it is not known.
func terminalWidth(f *os.File) int {
	w, _ := windowOf(f)
	return int(w.cols)
}
