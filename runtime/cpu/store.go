package cpu

// Store writes x to y, or adds it: the gradient of a weight that no kernel
// writes itself. y and x have the same length and do not overlap.
func (d *Device) Store(y, x []float32, mode Mode) {
	if mode == Accumulate {
		d.Accumulate(y, x)
		return
	}
	copy(y[:len(x)], x)
	d.launched("store", y[:len(x)])
}

// Iota writes the index along the middle axis of y [outer, n, inner].
func (d *Device) Iota(y []float32, outer, n, inner int) {
	y = y[:outer*n*inner]
	for i := range y {
		y[i] = float32(i / inner % n)
	}
	d.launched("iota", y)
}

// FromInt32 writes the integers x as numbers to y. Above 2²⁴ they are rounded.
func (d *Device) FromInt32(y []float32, x []int32) {
	y = y[:len(x)]
	for i, v := range x {
		y[i] = float32(v)
	}
	d.launched("from_int32", y)
}
