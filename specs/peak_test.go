//go:build linux && !race

package specs

import (
	"syscall"
	"testing"
)

// checkPeak says how much memory the largest child took: the limit of the
// bombs' children is 256 MiB, counted by the Go runtime and looked at every
// few milliseconds. Twice that leaves room for what is allocated between two
// looks; nothing near the gigabytes that the bombs ask for.
func checkPeak(t *testing.T) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_CHILDREN, &u); err != nil {
		t.Fatal(err)
	}
	t.Logf("the largest child took %d MiB", u.Maxrss>>10)
	if u.Maxrss > 512<<10 {
		t.Errorf("a child took %d MiB", u.Maxrss>>10)
	}
}
