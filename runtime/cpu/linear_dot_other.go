//go:build !amd64

package cpu

// Elsewhere rows stay where they are: dotTogether is never asked for, since
// bringing rows together only serves vectors.
func dotRows(_ isa, y []float32, ldy int, x []float32, ldx int, w []float32, ldw, rows, outs, in int, add bool) {
	dotPortable(y, ldy, x, ldx, w, ldw, rows, outs, in, add)
}

func dotTogether(isa isa, y []float32, ldy int, x []float32, ldx int, w []float32, ldw, rows, outs, in int, add bool) {
	dotRows(isa, y, ldy, x, ldx, w, ldw, rows, outs, in, add)
}
