package fuzz

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/llamac/llamac/exec"
	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/ir/interp"
	"github.com/llamac/llamac/passes"
	"github.com/llamac/llamac/plan"
)

// infer compiles the case's network for inference and feeds its decoder the
// case's sequences in random portions, several at a time, with a fork between:
// the logits must be those of whole sequences.
func (k *Checker) infer(c *Case, r *reference) error {
	rng := rand.New(rand.NewPCG(c.Seed, 2))
	if err := r.wholeSequences(rng); err != nil {
		return err
	}
	// One order for most cases, both for extra ones.
	shuffles := []uint64{0, 1 + c.Seed}
	if !c.Extra {
		shuffles = shuffles[c.Seed%2:][:1]
	}
	for _, shuffle := range shuffles {
		u := &passes.Unit{Module: ir.Clone(c.Infer, nil), Config: c.inferConfig(shuffle)}
		if err := passes.Run(u, k.Infer); err != nil {
			return refusal(fmt.Errorf("inference: %w", err))
		}
		p := u.Plan
		if c.also(planText, 4) {
			var err error
			if p, err = throughText(p); err != nil {
				return fmt.Errorf("inference: %w", err)
			}
		}
		if c.Compute != "" {
			continue // no kernel reads it
		}
		if err := k.decode(c, r, p, rng); err != nil {
			return fmt.Errorf("inference: %w\n%s\n%s", err, u.Module, p)
		}
	}
	k.Counts["decoded"]++
	return nil
}

// inferConfig are the choices of inference.
// There are as many blocks as all sequences together can fill.
func (c *Case) inferConfig(shuffle uint64) passes.Config {
	return passes.Config{
		Capacity: map[string]int64{"N": c.Capacity["N"], "R": c.Capacity["R"]},
		Dims: map[string]int64{"S": c.Capacity["S"], "M": c.Capacity["M"], "blocks": c.Capacity["S"] * c.Capacity["M"],
			"block": c.Capacity["block"]},
		Compute: c.Compute, Disable: c.Disable, Shuffle: shuffle, VerifyLast: !c.also(everyPass, 4),
	}
}

// wholeSequences computes the logits that the decoder must give.
// The model of inference has no cache before specialise_kv, so it can be run on
// sequences of length N as they stand. How far nudges move its logits is the bound.
func (r *reference) wholeSequences(rng *rand.Rand) error {
	tokens := interp.FromI32(r.tokens, r.c.B, r.c.T)
	out, err := r.machine(r.weights).Run(r.c.Infer, "logits", tokens)
	if err != nil {
		return err
	}
	r.logits = out[0]
	// Weights are not moved here: both sides have the same float32.
	moved := r.machine(r.weights)
	moved.Noise = nudger(rng)
	if out, err = moved.Run(r.c.Infer, "logits", tokens); err != nil {
		return err
	}
	r.logitMoves = interp.MaxDiff(out[0], r.logits)
	// As for gradients: a model that enlarges rounding so much tells nothing.
	if !(r.logitMoves <= 1e-3*math.Max(1, r.logits.MaxAbs())) {
		return errWild
	}
	return nil
}

// decode feeds a decoder until every sequence is at its end.
// Portions cut across sequences in any mixture: several tokens of one (prefill), one of
// each (decoding), both at once; between steps a sequence starts again or takes over
// another's past, whose cache blocks the two then share.
func (k *Checker) decode(c *Case, r *reference, p *plan.Plan, rng *rand.Rand) error {
	d, err := exec.NewDecoder(p, exec.Options{Device: k.Device, Poison: true, Context: c.T})
	if err != nil {
		return refusal(err)
	}
	for _, w := range p.Weights {
		for l, x := range r.weights[w.Name] {
			copy(d.Params()[w.At(l):], x.F32())
		}
	}
	seqs := int(c.Capacity["S"])
	row := make([]int, seqs) // of the batch that a sequence repeats
	for s := range row {
		row[s] = rng.IntN(c.B)
	}
	logits := make([]float32, int(c.Capacity["R"])*c.Vocab)
	most := allowed(r.logitMoves, r.logits.MaxAbs())
	// As many steps as one token a step would take, and one more.
	for step := range 1 + seqs*c.T {
		var ids, of, want []int32
		type place struct{ row, at int }
		var places []place
		// Tokens of this step that a sequence has already been given.
		used := map[int]int{}
		for range rng.IntN(int(c.Capacity["N"])) + 1 {
			s := rng.IntN(seqs)
			// Half of the tokens go on with the sequence of the one before.
			if rng.IntN(2) == 0 && len(of) > 0 {
				s = int(of[len(of)-1])
			}
			at := d.Len(s) + used[s]
			// The reference has no more tokens.
			if at >= c.T {
				continue
			}
			used[s]++
			ids, of = append(ids, r.tokens[row[s]*c.T+at]), append(of, int32(s))
			// Logits of some tokens only, not always the last of a sequence.
			if rng.IntN(2) == 0 && len(want) < int(c.Capacity["R"]) {
				want, places = append(want, int32(len(ids)-1)), append(places, place{row[s], at})
			}
		}
		// All that were drawn are at their end.
		if len(ids) == 0 {
			continue
		}
		if err := d.Step(ids, of, want, logits); err != nil {
			return fmt.Errorf("step %d: %w", step, err)
		}
		for i, at := range places {
			// Each number of the row, not the largest alone.
			for v := range c.Vocab {
				x, y := float64(logits[i*c.Vocab+v]), r.logits.At(at.row, at.at, v)
				if d := math.Abs(x - y); !(d <= most) {
					return differs(d, most, "step %d: logit %d of sequence %d at %d is %v, want %v: at most %.3g is allowed", step, v, at.row, at.at, x, y, most)
				}
			}
		}
		switch s := rng.IntN(seqs); rng.IntN(6) {
		// The blocks of a reset sequence are given out again, with what it left in them.
		case 0:
			d.Reset(s)
			row[s] = rng.IntN(c.B)
		case 1:
			// With one sequence there is nobody to fork to.
			if to := (s + 1) % seqs; to != s {
				if err := d.Fork(to, s); err != nil {
					return err
				}
				// The past is the other's, so the tokens to come are as well.
				row[to] = row[s]
			}
		}
	}
	return nil
}
