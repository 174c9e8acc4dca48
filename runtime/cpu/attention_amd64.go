package cpu

import "unsafe"

// Assembly of attention_amd64.s; attention_tile.go has the portable twins.

//go:noescape
func tileMul512(c unsafe.Pointer, ldc int, a unsafe.Pointer, ars, aks int, b unsafe.Pointer, ldb, m, n, k, add int)

//go:noescape
func tileMul256(c unsafe.Pointer, ldc int, a unsafe.Pointer, ars, aks int, b unsafe.Pointer, ldb, m, n, k, add int)

//go:noescape
func softmaxTile512(s unsafe.Pointer, rows int, m, sum, alpha unsafe.Pointer)

//go:noescape
func softmaxTile256(s unsafe.Pointer, rows int, m, sum, alpha unsafe.Pointer)

//go:noescape
func gradTile512(s, dp unsafe.Pointer, rows int, lse, delta unsafe.Pointer, scale float32)

//go:noescape
func gradTile256(s, dp unsafe.Pointer, rows int, lse, delta unsafe.Pointer, scale float32)

//go:noescape
func rowDots512(out, x unsafe.Pointer, ldx int, y unsafe.Pointer, ldy, rows, n int)

//go:noescape
func rowDots256(out, x unsafe.Pointer, ldx int, y unsafe.Pointer, ldy, rows, n int)

// prefetch asks for the lines of memory from x on.
//
// Blocks of the cache lie where the cache had room, which no hardware
// prefetcher foresees.
//
//go:noescape
func prefetch(x unsafe.Pointer, bytes int)

func fetchAhead(x []float32) { prefetch(ptr(x), 4*len(x)) }

func tileMul(l isa, c []float32, ldc int, a []float32, ars, aks int, b []float32, ldb int, m, n, k int, acc bool) {
	// The assembly takes whole vectors of columns and at least one step.
	if l == portable || n%lanes != 0 || m == 0 || n == 0 || k == 0 {
		tileMulGo(c, ldc, a, ars, aks, b, ldb, m, n, k, acc)
		return
	}
	// Cutting operands to their extent is the bounds check.
	c, a, b = c[:(m-1)*ldc+n], a[:(m-1)*ars+(k-1)*aks+1], b[:(k-1)*ldb+n]
	if l == avx512 {
		tileMul512(ptr(c), ldc, ptr(a), ars, aks, ptr(b), ldb, m, n, k, btoi(acc))
	} else {
		tileMul256(ptr(c), ldc, ptr(a), ars, aks, ptr(b), ldb, m, n, k, btoi(acc))
	}
}

func softmaxTile(l isa, s []float32, rows int, m, sum, alpha *[lanes]float32) {
	switch {
	case l == portable || rows == 0:
		softmaxTileGo(s, rows, m, sum, alpha)
	case l == avx512:
		softmaxTile512(ptr(s[:(rows-1)*tileQ+lanes]), rows, unsafe.Pointer(m), unsafe.Pointer(sum), unsafe.Pointer(alpha))
	default:
		softmaxTile256(ptr(s[:(rows-1)*tileQ+lanes]), rows, unsafe.Pointer(m), unsafe.Pointer(sum), unsafe.Pointer(alpha))
	}
}

func gradTile(l isa, s, dp []float32, rows int, lse, delta *[lanes]float32, scale float32) {
	if l == portable || rows == 0 {
		gradTileGo(s, dp, rows, lse, delta, scale)
		return
	}
	s, dp = s[:(rows-1)*tileQ+lanes], dp[:(rows-1)*tileQ+lanes]
	if l == avx512 {
		gradTile512(ptr(s), ptr(dp), rows, unsafe.Pointer(lse), unsafe.Pointer(delta), scale)
	} else {
		gradTile256(ptr(s), ptr(dp), rows, unsafe.Pointer(lse), unsafe.Pointer(delta), scale)
	}
}

func rowDots(l isa, out, x []float32, ldx int, y []float32, ldy, rows, n int) {
	// Heads of other sizes are rare.
	if l == portable || rows == 0 || n == 0 || n%8 != 0 {
		rowDotsGo(out, x, ldx, y, ldy, rows, n)
		return
	}
	out, x, y = out[:rows], x[:(rows-1)*ldx+n], y[:(rows-1)*ldy+n]
	if l == avx512 && n%16 == 0 {
		rowDots512(ptr(out), ptr(x), ldx, ptr(y), ldy, rows, n)
	} else {
		rowDots256(ptr(out), ptr(x), ldx, ptr(y), ldy, rows, n)
	}
}

// transpose uses the packing of matrix products, and scales afterwards.
func transpose(l isa, y, x []float32, ldx, rows, cols int, scale float32) {
	x = x[:(rows-1)*ldx+cols]
	y = y[:cols*tileQ]
	switch {
	case l == avx512:
		if rows < tileQ {
			clear(y)
		}
		for r := 0; r < rows; r += lanes {
			packTranspose512(ptr(y[r:]), ptr(x[r*ldx:]), min(lanes, rows-r), cols, ldx, tileQ, lanes)
		}
	case l == avx2 && rows%8 == 0 && cols%8 == 0:
		if rows < tileQ {
			clear(y)
		}
		for r := 0; r < rows; r += 8 {
			packTranspose256x8(ptr(y[r:]), ptr(x[r*ldx:]), cols, ldx, tileQ)
		}
	default:
		transposeGo(y, x, ldx, rows, cols, scale)
		return
	}
	if scale != 1 {
		vecScale(l, y, y, scale)
	}
}
