package cpu

import "unsafe"

// adamw512 updates n parameters, n a multiple of 16.
//
//go:noescape
func adamw512(p, grad, m, v unsafe.Pointer, n int, c *adamwScalars)

// adamw256 updates n parameters, n a multiple of 8.
//
//go:noescape
func adamw256(p, grad, m, v unsafe.Pointer, n int, c *adamwScalars)

func adamwUpdate(isa isa, p, g, m, v []float32, c *adamwScalars) {
	n := 0
	switch {
	case isa == avx512 && len(p) >= 16:
		n = len(p) &^ 15
		adamw512(unsafe.Pointer(&p[0]), unsafe.Pointer(&g[0]), unsafe.Pointer(&m[0]), unsafe.Pointer(&v[0]), n, c)
	case isa == avx2 && len(p) >= 8:
		n = len(p) &^ 7
		adamw256(unsafe.Pointer(&p[0]), unsafe.Pointer(&g[0]), unsafe.Pointer(&m[0]), unsafe.Pointer(&v[0]), n, c)
	}
	adamwPortable(p[n:], g[n:], m[n:], v[n:], c)
}
