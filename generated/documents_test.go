package generated_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/llamac/llamac/generated/tiny_gqa"
	"github.com/llamac/llamac/generated/tiny_gqa_mask"
	"github.com/llamac/llamac/runtime/model"
	"github.com/llamac/llamac/runtime/model/modeltest"
)

// TestPackedDocuments holds what the mask is for: documents packed into rows give
// the loss and the gradients that they give each in a row of its own, weighted by
// their tokens. The rows of their own are run by the program that has no mask.
func TestPackedDocuments(t *testing.T) {
	const B, T = tiny_gqa_mask.B, tiny_gqa_mask.T
	for _, cuts := range [][B]int{{11, 1, 23}, {T / 2, 16, 5}} { // the second document's first place in each row
		t.Run(fmt.Sprint(cuts), func(t *testing.T) {
			in := modeltest.Batch(&tiny_gqa_mask.Info, 3, 4)
			for i := range in.Starts {
				in.Starts[i] = 0
				if cut := cuts[i/T]; i%T >= cut {
					in.Starts[i] = int32(cut)
				}
			}
			in.Targets[2] = -1 // not counted
			packed := documentsTrainer(t, &tiny_gqa_mask.Info)
			loss := packed.MicroStep(in, true)
			if e := packed.Eval(in); e != loss {
				t.Errorf("Eval gives %v, MicroStep %v", e, loss)
			}

			apart := documentsTrainer(t, &tiny_gqa.Info)
			nats, counted, grads := 0.0, 0, make([]float64, len(apart.Grads()))
			for half := range 2 {
				// A micro-batch of all first documents, then one of all second.
				own := model.Batch{Tokens: make([]int32, B*T), Targets: make([]int32, B*T)}
				n := 0
				for b := range B {
					from, to := b*T, b*T+cuts[b]
					if half == 1 {
						from, to = to, (b+1)*T
					}
					for i := range T {
						own.Targets[b*T+i] = -1
						if from+i < to {
							own.Tokens[b*T+i], own.Targets[b*T+i] = in.Tokens[from+i], in.Targets[from+i]
						}
						if own.Targets[b*T+i] >= 0 {
							n++
						}
					}
				}
				nats += float64(apart.MicroStep(own, true)) * float64(n)
				counted += n
				for i, g := range apart.Grads() {
					grads[i] += float64(g) * float64(n)
				}
			}
			// Sums over the tokens are split in other places, and a second
			// document's queries and keys are rotated by other angles: float32
			// rounds once more for each of the tokens of a sum, and some.
			tolerance := float64(B*T+64) * math.Pow(2, -24)
			if want := nats / float64(counted); math.Abs(float64(loss)-want) > tolerance*want {
				t.Errorf("loss %v, apart %v", loss, want)
			}
			for _, w := range tiny_gqa_mask.Info.Weights {
				diff, size := 0.0, 0.0
				for i := w.Offset; i < w.Offset+w.Len(); i++ {
					want := grads[i] / float64(counted)
					diff, size = max(diff, math.Abs(float64(packed.Grads()[i])-want)), max(size, math.Abs(want))
				}
				if !(diff <= tolerance*size) {
					t.Errorf("gradient of %s differs by %.3g of %.3g", w.Name, diff, size)
				}
			}
			in.Starts = nil
			if crossed := packed.MicroStep(in, true); math.Abs(float64(crossed-loss)) < 100*tolerance {
				t.Errorf("without starts the loss is %v as well", crossed)
			} else if want := apart.MicroStep(in, true); crossed != want {
				t.Errorf("without starts the loss is %v, the program without a mask gives %v", crossed, want)
			}
		})
	}
}

func documentsTrainer(t *testing.T, info *model.Info) model.Trainer {
	t.Helper()
	tr, err := info.NewTrainer(model.Options{Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.Close)
	modeltest.Fill(tr.Params(), info.Weights, modeltest.WeightSeed)
	return tr
}
