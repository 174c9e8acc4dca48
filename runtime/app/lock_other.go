//go:build !windows && (!unix || solaris || aix)

package app

import "os"

func lockFile(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o666)
}
