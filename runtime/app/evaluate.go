package app

import (
	"fmt"
	"math"

	"github.com/llamac/llamac/data"
	"github.com/llamac/llamac/runtime/model"
)

// evaluation holds the buffers of evaluating, made once.
//
// The buffers have a micro-batch's shape, as Eval has no other.
type evaluation struct {
	seq   []int32
	batch model.Batch
}

// evaluate measures loss and bits per byte on held-out text and puts them into
// the record. The sequences lie evenly over all of it, the same each time.
//
// Bits per byte are the nats of all targets over ln 2 and over the bytes of
// text that the targets stand for: a measure that other vocabularies, and
// compressors, can be compared by.
func (s *session) evaluate(rec *record) error {
	// In micro-batches of the training's shape, for which the memory is
	// planned.
	rows, context := s.recipe.MicroBatch, s.info.Context
	have := s.feed.ValidationLen()
	// Sequences; no held-out text, no evaluation.
	want := min(s.recipe.EvalBatches*rows, have)
	if want <= 0 {
		return nil
	}
	v := &s.val
	if v.seq == nil {
		*v = evaluation{make([]int32, context+1), model.Batch{Tokens: make([]int32, rows*context), Targets: make([]int32, rows*context)}}
		if s.info.Masked {
			v.batch.Starts = make([]int32, rows*context)
		}
	}
	// Sums over all sequences, so that short last ones weigh what they hold.
	nats, targets, bytes := 0.0, 0, 0
	for done := 0; done < want; done += rows {
		s.report.phase("evaluating", done, want)
		counted := 0
		for r := range rows {
			in, out := v.batch.Tokens[r*context:(r+1)*context], v.batch.Targets[r*context:(r+1)*context]
			// Rows that are missing still run, with ids of 0, and none of their
			// targets counts.
			if done+r >= want { // the last micro-batch may lack rows
				clear(in)
				fill(out, -1)
				continue
			}
			// Evenly spread over the whole, which is the same choice at every
			// evaluation and for every seed.
			i := int(int64(done+r) * int64(have) / int64(want))
			n, err := s.feed.Validation(i, v.seq)
			if err == nil && s.info.Masked {
				err = s.feed.ValidationStarts(i, v.batch.Starts[r*context:(r+1)*context])
			}
			if err != nil {
				return err
			}
			// Bytes of the text that the targets stand for, counted by the
			// feed.
			bytes += n
			data.Split(v.seq, in, out)
			for _, t := range out {
				if t >= 0 {
					counted++
				}
			}
		}
		// A micro-batch without a target has no mean.
		if counted == 0 {
			continue
		}
		// A mean over the targets that count.
		loss := float64(s.trainer.Eval(v.batch))
		// Named at once, while the batch is in the buffers.
		if !finite(loss) {
			return s.diagnoseEval(rec.Step, loss)
		}
		nats += loss * float64(counted)
		targets += counted
	}
	if targets == 0 {
		return nil
	}
	// A mean over targets, not over micro-batches: the last one may hold fewer.
	loss := nats / float64(targets)
	rec.ValLoss = &loss
	// A data set of ids alone has no text behind it.
	if bytes > 0 {
		bits := nats / math.Ln2 / float64(bytes)
		rec.BitsPerByte = &bits
	}
	return nil
}

// diagnoseEval names the node of an evaluation that went wrong: the batch that
// did is still in the buffers.
//
// Diagnose runs a micro-step, which overwrites the gradients; the run ends with
// this error, so nobody misses them.
func (s *session) diagnoseEval(step int, loss float64) error {
	what := fmt.Sprintf("step %d: the validation loss is %v", step, loss)
	if node := s.trainer.Diagnose(s.val.batch); node != "" {
		return &brokenStep{step, fmt.Errorf("%s: the first result that is not finite is that of %s", what, node)}
	}
	return &brokenStep{step, fmt.Errorf("%s", what)}
}

// fill sets every element: -1 is a target that does not count.
func fill(x []int32, v int32) {
	for i := range x {
		x[i] = v
	}
}
