package cpu

import "unsafe"

// Assembly of vec_amd64.s: contiguous operands of n > 0 elements.

//go:noescape
func vecAdd512(y, a, b unsafe.Pointer, n int)

//go:noescape
func vecAdd256(y, a, b unsafe.Pointer, n int)

//go:noescape
func vecMul512(y, a, b unsafe.Pointer, n int)

//go:noescape
func vecMul256(y, a, b unsafe.Pointer, n int)

//go:noescape
func vecScale512(y, x unsafe.Pointer, n int, s float32)

//go:noescape
func vecScale256(y, x unsafe.Pointer, n int, s float32)

//go:noescape
func vecDot512(x, y unsafe.Pointer, n int) float32

//go:noescape
func vecDot256(x, y unsafe.Pointer, n int) float32

//go:noescape
func vecDot3512(a, b, c unsafe.Pointer, n int) float32

//go:noescape
func vecDot3256(a, b, c unsafe.Pointer, n int) float32

//go:noescape
func vecMax512(x unsafe.Pointer, n int) float32

//go:noescape
func vecMax256(x unsafe.Pointer, n int) float32

//go:noescape
func vecExp512(y, x unsafe.Pointer, n int)

//go:noescape
func vecExp256(y, x unsafe.Pointer, n int)

//go:noescape
func vecSigmoid512(y, x unsafe.Pointer, n int)

//go:noescape
func vecSigmoid256(y, x unsafe.Pointer, n int)

//go:noescape
func vecSilu512(y, x unsafe.Pointer, n int)

//go:noescape
func vecSilu256(y, x unsafe.Pointer, n int)

//go:noescape
func vecExpSum512(y, x unsafe.Pointer, n int, m float32) float32

//go:noescape
func vecExpSum256(y, x unsafe.Pointer, n int, m float32) float32

//go:noescape
func vecSwiGLU512(m, gate, up unsafe.Pointer, n int)

//go:noescape
func vecSwiGLU256(m, gate, up unsafe.Pointer, n int)

//go:noescape
func vecSwiGLUGrad512(dg, du, dm, gate, up unsafe.Pointer, n int)

//go:noescape
func vecSwiGLUGrad256(dg, du, dm, gate, up unsafe.Pointer, n int)

//go:noescape
func vecNorm512(y, x, w unsafe.Pointer, n int, r float32)

//go:noescape
func vecNorm256(y, x, w unsafe.Pointer, n int, r float32)

//go:noescape
func vecNormGradW512(dw, dy, x unsafe.Pointer, n int, r float32)

//go:noescape
func vecNormGradX512(dx, dy, x, w unsafe.Pointer, n int, r, c float32)

//go:noescape
func vecNormGradXRes512(dx, dy, x, w, res unsafe.Pointer, n int, r, c float32)

// vecRopePairs512 takes hd that is a multiple of 16.
//
//go:noescape
func vecRopePairs512(y, x, cos, sin unsafe.Pointer, hd, heads int, sign float32)

// vecRopeHalf512 takes hd that is a multiple of 32.
//
//go:noescape
func vecRopeHalf512(y, x, cos, sin unsafe.Pointer, hd, heads int, sign float32)

//go:noescape
func vecNormGradW256(dw, dy, x unsafe.Pointer, n int, r float32)

//go:noescape
func vecNormGradX256(dx, dy, x, w unsafe.Pointer, n int, r, c float32)

//go:noescape
func vecNormGradXRes256(dx, dy, x, w, res unsafe.Pointer, n int, r, c float32)

// vecRopePairs256 takes hd that is a multiple of 8.
//
//go:noescape
func vecRopePairs256(y, x, cos, sin unsafe.Pointer, hd, heads int, sign float32)

// vecRopeHalf256 takes hd that is a multiple of 16.
//
//go:noescape
func vecRopeHalf256(y, x, cos, sin unsafe.Pointer, hd, heads int, sign float32)
