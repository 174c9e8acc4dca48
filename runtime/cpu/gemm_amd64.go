package cpu

import "unsafe"

//go:generate go run ./internal/asmgen

// gemmTile512 adds to (or, if add is 0, stores in) the rows×cols tile at c the
// product of packed panels a, [k][rows], and b, [k][32], or [k][16] if
// cols <= 16. rows is at most 14.
//
//go:noescape
func gemmTile512(a, b, c unsafe.Pointer, k, ldc, rows, cols, add int)

// gemmTile256 is gemmTile512 for at most 6 rows and exactly 16 columns, or 8.
//
//go:noescape
func gemmTile256(a, b, c unsafe.Pointer, k, ldc, rows, cols, add int)

// packTranspose512 stores rows (1..16) that run along k as columns: for each
// step, width (up to 16) floats, stride floats apart from the next step.
//
//go:noescape
func packTranspose512(dst, src unsafe.Pointer, rows, k, ld, stride, width int)

// packCopy512 copies cols floats for each of k steps, ld apart, to dst, and
// fills up with zeros to width, which is at most 32.
//
//go:noescape
func packCopy512(dst, src unsafe.Pointer, cols, k, ld, width int)

// packCopy512x4 copies, for each of k steps, ld apart, four adjoining groups of
// cols floats (at most 16) to dst, dst+near, dst+far and dst+far+near; one step
// is stride floats behind the other there.
//
//go:noescape
func packCopy512x4(dst, src unsafe.Pointer, cols, k, ld, stride, near, far int)

// packCopy256x4x16 is packCopy512x4 for 16 columns.
//
//go:noescape
func packCopy256x4x16(dst, src unsafe.Pointer, k, ld, stride, near, far int)

// packCopy256x4x6 is packCopy512x4 for 6 columns.
//
//go:noescape
func packCopy256x4x6(dst, src unsafe.Pointer, k, ld, stride, near, far int)

// packTranspose256x8 is packTranspose512 for 8 rows and k a multiple of 8.
//
//go:noescape
func packTranspose256x8(dst, src unsafe.Pointer, k, ld, stride int)

// packTranspose256x6 is packTranspose512 for 6 rows and k a multiple of 8.
//
//go:noescape
func packTranspose256x6(dst, src unsafe.Pointer, k, ld, stride int)

// packFour packs four whole panels of up to 16 rows, or two of 32, at once if
// there is a fast way.
func packFour(isa isa, dst []float32, x *operand, from, width int, k span) bool {
	if x.along || isa == portable {
		return false
	}
	panel := k.size * width
	src := unsafe.Pointer(&x.x[k.from*x.ld+from])
	switch {
	case isa == avx512 && width == 32:
		packCopy512x4(unsafe.Pointer(&dst[:2*panel][0]), src, 16, k.size, x.ld, width, 16, panel)
	case isa == avx512:
		packCopy512x4(unsafe.Pointer(&dst[:4*panel][0]), src, width, k.size, x.ld, width, panel, 2*panel)
	case width == 16:
		packCopy256x4x16(unsafe.Pointer(&dst[:4*panel][0]), src, k.size, x.ld, width, panel, 2*panel)
	case width == 6:
		packCopy256x4x6(unsafe.Pointer(&dst[:4*panel][0]), src, k.size, x.ld, width, panel, 2*panel)
	default:
		return false
	}
	return true
}

// packPanel packs rows from..from+rows of an operand, steps k, into a panel
// of the given width.
func packPanel(isa isa, dst []float32, x *operand, from, rows, width int, k span) {
	dst = dst[:k.size*width]
	switch {
	case isa == avx512 && x.along:
		for r := 0; r < rows; r += 16 {
			packTranspose512(unsafe.Pointer(&dst[r]), unsafe.Pointer(&x.x[(from+r)*x.ld+k.from]),
				min(16, rows-r), k.size, x.ld, width, min(16, width-r))
		}
	case isa == avx512:
		packCopy512(unsafe.Pointer(&dst[0]), unsafe.Pointer(&x.x[k.from*x.ld+from]), rows, k.size, x.ld, width)
	case isa == avx2 && x.along && k.size >= 8 && rows == width && (rows == 6 || rows%8 == 0):
		whole := k.size &^ 7
		for r := 0; r < rows; r += 8 {
			src := unsafe.Pointer(&x.x[(from+r)*x.ld+k.from])
			if rows == 6 {
				packTranspose256x6(unsafe.Pointer(&dst[0]), src, whole, x.ld, width)
			} else {
				packTranspose256x8(unsafe.Pointer(&dst[r]), src, whole, x.ld, width)
			}
		}
		packPortable(dst[whole*width:], x, from, rows, width, span{k.from + whole, k.size - whole})
	default:
		packPortable(dst, x, from, rows, width, k)
	}
}

// tile adds to, or stores in, the rows×cols tile at c the product of packed
// panels.
func tile(isa isa, c []float32, ldc int, a, b []float32, k, rows, cols int, add bool) {
	switch isa {
	case avx512:
		gemmTile512(unsafe.Pointer(&a[0]), unsafe.Pointer(&b[0]), unsafe.Pointer(&c[0]), k, ldc, rows, cols, btoi(add))
	case avx2:
		if cols == 8 || cols == 16 {
			gemmTile256(unsafe.Pointer(&a[0]), unsafe.Pointer(&b[0]), unsafe.Pointer(&c[0]), k, ldc, rows, cols, btoi(add))
			return
		}
		var edge [6 * 16]float32
		gemmTile256(unsafe.Pointer(&a[0]), unsafe.Pointer(&b[0]), unsafe.Pointer(&edge[0]), k, 16, rows, cols, 0)
		for i := range rows {
			ci, e := c[i*ldc:i*ldc+cols], edge[16*i:]
			for j := range ci {
				if add {
					ci[j] += e[j]
				} else {
					ci[j] = e[j]
				}
			}
		}
	default:
		tilePortable(c, ldc, a, b, k, rows, cols, add)
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
