//go:build !linux && !darwin && !windows

package app

// availableMemory does not know, and then nothing is refused.
func availableMemory() (limit, bool) { return limit{}, false }
