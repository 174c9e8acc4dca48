package plan

import (
	"testing"

	"github.com/llamac/llamac/ir"
)

// TestLivesFirstInput: between what writes the first layer's input and the
// loop other things may be made. The input's place is taken all that time,
// though no block is stored yet, and free again only behind the backward.
func TestLivesFirstInput(t *testing.T) {
	x := &Buffer{Name: "h", Region: Saved, DType: ir.F32, Stride: 64, Bytes: 64}
	between := &Buffer{Name: "t", Region: Scratch, DType: ir.F32, Bytes: 64}
	at := func(b *Buffer, l Layer, m Mode) Operand {
		return Operand{Kind: InBuffer, Buffer: b, Layer: l, Mode: m}
	}
	q := &Program{Buffers: []*Buffer{x, between}, Items: []Item{
		&Launch{Op: "gather", Results: []Operand{at(x, FirstOne, Overwrite)}},
		&Launch{Op: "exp", Results: []Operand{at(between, NoLayer, Overwrite)}},
		&Launch{Op: "neg", Args: []Operand{at(between, NoLayer, Read)}},
		&Loop{From: 0, To: 2, Body: []Item{&Launch{Op: "exp", Args: []Operand{at(x, ThisLayer, Read)}, Results: []Operand{at(x, NextLayer, Overwrite)}}}},
		&Loop{From: 0, To: 2, Reverse: true, Body: []Item{&Launch{Op: "neg", Args: []Operand{at(x, ThisLayer, Read)}}}},
		&Launch{Op: "exp", Results: []Operand{at(between, NoLayer, Overwrite)}},
	}}
	lives := q.Lives(2)
	first := lives.Loops[0].First
	if first != 4 || len(lives.Loops) != 2 {
		t.Fatalf("loops at %v", lives.Loops)
	}
	for i := 1; i < first; i++ {
		if lives.Base[i] != 0 || lives.Taken[i] != 64 {
			t.Errorf("time %d: %d bytes of blocks, %d taken, want 0 and 64", i, lives.Base[i], lives.Taken[i])
		}
	}
	if n := len(lives.Taken) - 1; lives.Taken[n] != 0 {
		t.Errorf("behind the backward %d bytes are taken", lives.Taken[n])
	}
}
