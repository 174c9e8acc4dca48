package app

import "syscall"

// availableMemory gives the whole memory: what is free of it at the moment
// says little on a system that compresses and swaps.
func availableMemory() (limit, bool) {
	s, err := syscall.Sysctl("hw.memsize")
	if err != nil {
		return limit{}, false
	}
	// Sysctl takes the eight bytes for a string and drops a final zero.
	n := int64(0)
	for i := min(len(s), 8) - 1; i >= 0; i-- {
		n = n<<8 | int64(s[i])
	}
	return limit{n, "of this machine's memory"}, n > 0
}
