//go:build !amd64

package cpu

func dotRows(_ isa, y []float32, ldy int, x []float32, ldx int, w []float32, ldw, rows, outs, in int, add bool) {
	dotPortable(y, ldy, x, ldx, w, ldw, rows, outs, in, add)
}

func dotTogether(isa isa, y []float32, ldy int, x []float32, ldx int, w []float32, ldw, rows, outs, in int, add bool) {
	dotRows(isa, y, ldy, x, ldx, w, ldw, rows, outs, in, add)
}
