//go:build !linux && !darwin

package prepare

import "io/fs"

// identify trusts nothing: without ctime, only the contents tell.
func identify(string, fs.FileInfo) (fileID, bool) { return fileID{}, false }
