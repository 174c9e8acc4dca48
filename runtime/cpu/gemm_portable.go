package cpu

// packPortable copies rows from..from+rows of an operand, steps k, to dst, width
// floats a step, and fills up with zeros.
func packPortable(dst []float32, x *operand, from, rows, width int, k span) {
	dst = dst[:k.size*width]
	if !x.along {
		for s := range k.size {
			at := (k.from+s)*x.ld + from
			d := dst[s*width : (s+1)*width]
			copy(d, x.x[at:at+rows])
			clear(d[rows:])
		}
		return
	}
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
func tilePortable(c []float32, ldc int, a, b []float32, k, rows, cols int, add bool) {
	if rows == 4 && cols == 4 {
		tile4x4(c, ldc, a, b, k, add)
		return
	}
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

// tile4x4 keeps 16 sums in registers.
func tile4x4(c []float32, ldc int, a, b []float32, k int, add bool) {
	var (
		c00, c01, c02, c03 float32
		c10, c11, c12, c13 float32
		c20, c21, c22, c23 float32
		c30, c31, c32, c33 float32
	)
	a, b = a[:4*k], b[:4*k]
	for len(a) >= 4 && len(b) >= 4 {
		a0, a1, a2, a3 := a[0], a[1], a[2], a[3]
		b0, b1, b2, b3 := b[0], b[1], b[2], b[3]
		c00 += a0 * b0
		c01 += a0 * b1
		c02 += a0 * b2
		c03 += a0 * b3
		c10 += a1 * b0
		c11 += a1 * b1
		c12 += a1 * b2
		c13 += a1 * b3
		c20 += a2 * b0
		c21 += a2 * b1
		c22 += a2 * b2
		c23 += a2 * b3
		c30 += a3 * b0
		c31 += a3 * b1
		c32 += a3 * b2
		c33 += a3 * b3
		a, b = a[4:], b[4:]
	}
	put4(c, add, c00, c01, c02, c03)
	put4(c[ldc:], add, c10, c11, c12, c13)
	put4(c[2*ldc:], add, c20, c21, c22, c23)
	put4(c[3*ldc:], add, c30, c31, c32, c33)
}

func put4(c []float32, add bool, v0, v1, v2, v3 float32) {
	c = c[:4]
	if add {
		v0, v1, v2, v3 = c[0]+v0, c[1]+v1, c[2]+v2, c[3]+v3
	}
	c[0], c[1], c[2], c[3] = v0, v1, v2, v3
}
