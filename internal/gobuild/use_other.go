//go:build !windows && (!unix || solaris || aix)

package gobuild

import "os"

// lockUse locks nothing: these systems have no lock in package syscall.
func lockUse(string, bool) (*os.File, error) { return nil, nil }

func inherit(*os.File) {}
