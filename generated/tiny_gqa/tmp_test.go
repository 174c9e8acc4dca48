package tiny_gqa

import (
	"fmt"
	"testing"

	"github.com/llamac/llamac/runtime/model"
	"github.com/llamac/llamac/runtime/model/modeltest"
)

func TestG(t *testing.T) {
	tr, _ := NewTrainer(model.Options{})
	defer tr.Close()
	modeltest.Fill(tr.Params(), Info.Weights, 1)
	tok, tgt := modeltest.Tokens(B*T, Vocab, 2), modeltest.Tokens(B*T, Vocab, 3)
	for i := range tr.Grads() {
		tr.Grads()[i] = 7
	}
	fmt.Println(tr.MicroStep(tok, tgt, true), tr.Eval(tok, tgt))
	want, _ := modeltest.ReadF32("testdata/grads.f32")
	for _, w := range Info.Weights {
		d, s := modeltest.MaxDiff(tr.Grads()[w.Offset:][:w.Len()], want[w.Offset:][:w.Len()])
		fmt.Printf("%-30s %.2e of %.2e\n", w.Name, d/s, s)
	}
	fmt.Println(testing.AllocsPerRun(3, func() { tr.MicroStep(tok, tgt, true) }))
	dec, _ := NewDecoder(model.Options{})
	copy(dec.Params(), tr.Params())
	lw, _ := modeltest.ReadF32("testdata/logits.f32")
	logits := make([]float32, 64*Vocab)
	for b := range 3 {
		row := tok[b*T:][:T]
		seqs := make([]int32, T)
		want := make([]int32, T)
		for i := range seqs {
			seqs[i] = int32(b)
			want[i] = int32(i)
		}
		if err := dec.Step(row[:10], seqs[:10], want[:10], logits); err != nil {
			t.Fatal(err)
		}
		d, s := modeltest.MaxDiff(logits[:10*Vocab], lw[b*T*Vocab:][:10*Vocab])
		fmt.Println("prefill", b, d, s)
		for i := 10; i < T; i++ {
			if err := dec.Step(row[i:i+1], seqs[:1], []int32{0}, logits); err != nil {
				t.Fatal(err)
			}
			d, s := modeltest.MaxDiff(logits[:Vocab], lw[(b*T+i)*Vocab:][:Vocab])
			if d/s > 1e-5 {
				fmt.Println("decode", b, i, d, s)
			}
		}
	}
}
