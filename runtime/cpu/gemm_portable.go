package cpu

// packPortable copies rows from..from+rows of an operand, steps k, to dst, width
// floats a step, and fills up with zeros.
//
// It is the definition that the assembly has to meet, and does what that
// leaves: edges, short blocks, other instruction sets.
func packPortable(dst []float32, x *operand, from, rows, width int, k span) {
	dst = dst[:k.size*width]
	// The rows of a panel lie side by side: a step is a copy.
	if !x.along {
		for s := range k.size {
			at := (k.from+s)*x.ld + from
			d := dst[s*width : (s+1)*width]
			copy(d, x.x[at:at+rows])
			clear(d[rows:])
		}
		return
	}
	// Each row is read along k, which is how it lies, and written with the
	// distance of steps.
	for r := range width {
		if r >= rows {
			for at := r; at < len(dst); at += width {
				dst[at] = 0
			}
			continue
		}
		at := (from+r)*x.ld + k.from
		for s, v := range x.x[at : at+k.size] {
			dst[s*width+r] = v
		}
	}
}

// tilePortable adds to, or stores in, the rows×cols tile of c the product of
// packed panels a, [k][rows], and b, [k][cols].
//
// Sums start from zero and are added to c at the end, as in assembly.
func tilePortable(c []float32, ldc int, a, b []float32, k, rows, cols int, add bool) {
	if rows == 4 && cols == 2 {
		tile4x2(c, ldc, a, b, k, add)
		return
	}
	// Tiles at the edges, of any size: few, so that the loops are plain.
	for i := range rows {
		ci := c[i*ldc : i*ldc+cols]
		for j := range ci {
			var sum float32
			for s := range k {
				sum += a[s*rows+i] * b[s*cols+j]
			}
			if add {
				sum += ci[j]
			}
			ci[j] = sum
		}
	}
}

// tile4x2 keeps 8 sums in registers. With 16 sums, the compiler for amd64, which
// has 16 scalar registers, spills: that runs at half the speed.
func tile4x2(c []float32, ldc int, a, b []float32, k int, add bool) {
	var c00, c01, c10, c11, c20, c21, c30, c31 float32
	a, b = a[:4*k], b[:2*k]
	// A conversion to an array is one check of bounds instead of four, or two.
	for len(a) >= 4 && len(b) >= 2 {
		x, y := (*[4]float32)(a), (*[2]float32)(b)
		b0, b1 := y[0], y[1]
		a0, a1, a2, a3 := x[0], x[1], x[2], x[3]
		c00 += a0 * b0
		c01 += a0 * b1
		c10 += a1 * b0
		c11 += a1 * b1
		c20 += a2 * b0
		c21 += a2 * b1
		c30 += a3 * b0
		c31 += a3 * b1
		a, b = a[4:], b[2:]
	}
	put2(c, add, c00, c01)
	put2(c[ldc:], add, c10, c11)
	put2(c[2*ldc:], add, c20, c21)
	put2(c[3*ldc:], add, c30, c31)
}

func put2(c []float32, add bool, v0, v1 float32) {
	c = c[:2]
	if add {
		v0, v1 = c[0]+v0, c[1]+v1
	}
	c[0], c[1] = v0, v1
}
