//go:build slow

package passes

func init() { menuSample = 4096 }
