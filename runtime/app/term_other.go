//go:build !linux && !darwin && !freebsd && !netbsd && !openbsd && !dragonfly && !windows

package app

import "os"

func isTerminal(*os.File) bool   { return false }
func terminalWidth(*os.File) int { return 0 }
