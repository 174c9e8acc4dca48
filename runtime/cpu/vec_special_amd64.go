package cpu

import "unsafe"

// The loops of vec_special.go: assembly of vec_amd64.s, and the choice of it.

// With noescape the compiler knows that no pointer outlives its call, so that
// buffers on the caller's stack stay there.
//
//go:noescape
func vecSub512(y, a, b unsafe.Pointer, n int)

//go:noescape
func vecSub256(y, a, b unsafe.Pointer, n int)

//go:noescape
func vecDiv512(y, a, b unsafe.Pointer, n int)

//go:noescape
func vecDiv256(y, a, b unsafe.Pointer, n int)

//go:noescape
func vecShift512(y, x unsafe.Pointer, n int, s float32)

//go:noescape
func vecShift256(y, x unsafe.Pointer, n int, s float32)

//go:noescape
func vecSqrt512(y, x unsafe.Pointer, n int)

//go:noescape
func vecSqrt256(y, x unsafe.Pointer, n int)

//go:noescape
func vecRecip512(y, x unsafe.Pointer, n int)

//go:noescape
func vecRecip256(y, x unsafe.Pointer, n int)

//go:noescape
func vecRelu512(y, x unsafe.Pointer, n int)

//go:noescape
func vecRelu256(y, x unsafe.Pointer, n int)

//go:noescape
func vecErf512(y, x unsafe.Pointer, n int)

//go:noescape
func vecErf256(y, x unsafe.Pointer, n int)

//go:noescape
func vecTanh512(y, x unsafe.Pointer, n int)

//go:noescape
func vecTanh256(y, x unsafe.Pointer, n int)

func vecSub(l isa, y, a, b []float32) {
	a, b = a[:len(y)], b[:len(y)]
	switch {
	case l == portable || len(y) == 0:
		subGo(y, a, b)
	case l == avx512:
		vecSub512(ptr(y), ptr(a), ptr(b), len(y))
	default:
		vecSub256(ptr(y), ptr(a), ptr(b), len(y))
	}
}

func vecDiv(l isa, y, a, b []float32) {
	a, b = a[:len(y)], b[:len(y)]
	switch {
	case l == portable || len(y) == 0:
		divGo(y, a, b)
	case l == avx512:
		vecDiv512(ptr(y), ptr(a), ptr(b), len(y))
	default:
		vecDiv256(ptr(y), ptr(a), ptr(b), len(y))
	}
}

func vecShift(l isa, y, x []float32, s float32) {
	x = x[:len(y)]
	switch {
	case l == portable || len(y) == 0:
		shiftGo(y, x, s)
	case l == avx512:
		vecShift512(ptr(y), ptr(x), len(y), s)
	default:
		vecShift256(ptr(y), ptr(x), len(y), s)
	}
}

func vecSqrt(l isa, y, x []float32) {
	x = x[:len(y)]
	switch {
	case l == portable || len(y) == 0:
		sqrtGo(y, x)
	case l == avx512:
		vecSqrt512(ptr(y), ptr(x), len(y))
	default:
		vecSqrt256(ptr(y), ptr(x), len(y))
	}
}

func vecRecip(l isa, y, x []float32) {
	x = x[:len(y)]
	switch {
	case l == portable || len(y) == 0:
		recipGo(y, x)
	case l == avx512:
		vecRecip512(ptr(y), ptr(x), len(y))
	default:
		vecRecip256(ptr(y), ptr(x), len(y))
	}
}

func vecRelu(l isa, y, x []float32) {
	x = x[:len(y)]
	switch {
	case l == portable || len(y) == 0:
		reluGo(y, x)
	case l == avx512:
		vecRelu512(ptr(y), ptr(x), len(y))
	default:
		vecRelu256(ptr(y), ptr(x), len(y))
	}
}

func vecErf(l isa, y, x []float32) {
	x = x[:len(y)]
	switch {
	case l == portable || len(y) == 0:
		erfGo(y, x)
	case l == avx512:
		vecErf512(ptr(y), ptr(x), len(y))
	default:
		vecErf256(ptr(y), ptr(x), len(y))
	}
}

func vecTanh(l isa, y, x []float32) {
	x = x[:len(y)]
	switch {
	case l == portable || len(y) == 0:
		tanhGo(y, x)
	case l == avx512:
		vecTanh512(ptr(y), ptr(x), len(y))
	default:
		vecTanh256(ptr(y), ptr(x), len(y))
	}
}
