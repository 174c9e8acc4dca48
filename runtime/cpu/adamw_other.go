//go:build !amd64

package cpu

func adamwUpdate(_ isa, p, g, m, v []float32, c *adamwScalars) { adamwPortable(p, g, m, v, c) }
