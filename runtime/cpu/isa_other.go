//go:build !amd64

package cpu

func supported() isa { return portable }

// pause passes a little time.
func pause(n int) {
	for range n {
	}
}
