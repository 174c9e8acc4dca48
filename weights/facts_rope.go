package weights

import (
	"fmt"
	"math"
	"path"
	"slices"
	"strings"

	"github.com/llamac/llamac/runtime/model"
)

// frequencies gives the d/2 angles by which pairs of channels turn from one
// position to the next, as ir/build computes them for the model's graph.
func frequencies(r model.Rope, d int) []float64 {
	f := make([]float64, d/2)
	for i := range f {
		f[i] = math.Pow(r.Theta, -2*float64(i)/float64(d))
		// Linear scaling shrinks positions, which is the same.
		switch s := r.Scaling; s.Kind {
		case "linear":
			f[i] /= s.Factor
		case "llama3":
			f[i] = llama3(f[i], s)
		}
	}
	return f
}

// llama3 divides long wavelengths by the factor, leaves short ones alone, and
// blends in between.
func llama3(f float64, s model.RopeScaling) float64 {
	// How many turns a pair makes in the original context decides.
	turns := float64(s.OriginalContext) * f / (2 * math.Pi)
	switch {
	case turns > s.HighFreqFactor:
		return f
	case turns < s.LowFreqFactor:
		return f / s.Factor
	}
	smooth := (turns - s.LowFreqFactor) / (s.HighFreqFactor - s.LowFreqFactor)
	return (1-smooth)*f/s.Factor + smooth*f
}

// turning is a table that a file has of how pairs turn.
type turning struct {
	values  []float64
	divided bool    // the numbers divide theta's frequencies, as in a GGUF of Llama 3
	turned  bool    // they are of a position that was turned, whatever scales positions in it
	within  float64 // relative error of the file's type and of who computed it in float32
	floor   float64 // absolute error, where the type has no smaller numbers
}

// table gives the same of a rope.
func (t turning) table(r model.Rope) []float64 {
	d := 2 * len(t.values)
	out := frequencies(r, d)
	if t.divided {
		for i := range out {
			out[i] = math.Pow(r.Theta, -2*float64(i)/float64(d)) / out[i]
		}
	}
	return out
}

// differs finds the first pair that turns otherwise by a rope, or -1.
func (t turning) differs(r model.Rope) int {
	for i, want := range t.table(r) {
		// Not the other way round: nothing is near a NaN.
		if !(math.Abs(t.values[i]-want) <= t.within*want+t.floor) {
			return i
		}
	}
	return -1
}

// llama3s are the scalings that were published with Llama 3.1 and 3.2; factors of
// others are tried with the same numbers.
func llama3s(factor float64) model.RopeScaling {
	return model.RopeScaling{Kind: "llama3", Factor: factor, LowFreqFactor: 1, HighFreqFactor: 4, OriginalContext: 8192}
}

// turning compares a table with the model's frequencies.
func (c *comparison) turning(f fact) {
	t := f.value.(turning)
	r := c.info.Architecture.Rope
	// Heads of another width have a table of their own length.
	width, stated := c.said.number(ofHeadDim)
	if a := &c.info.Architecture.Attention; a.Heads > 0 && len(t.values) != a.Rotated/2 && (!stated || width == float64(a.HeadDim)) {
		c.differ(fact{at: f.at, text: fmt.Sprintf("of %d pairs", len(t.values))}, fmt.Sprintf("%d by model.head_dim", a.Rotated/2), "their number")
		return
	}
	i := t.differs(r)
	// Programs that shrink positions keep the table as it was.
	plain := r
	plain.Scaling = model.RopeScaling{}
	if i < 0 || !t.divided && !t.turned && r.Scaling.Kind == "linear" && t.differs(plain) < 0 {
		return
	}
	what := "the frequency"
	if t.divided {
		what = "what divides it"
	}
	c.differ(fact{at: f.at, text: fmt.Sprintf("%.6g at pair %d", t.values[i], i)}, fmt.Sprintf("%.6g", t.table(r)[i]), what+" by model.rope (theta "+show(r.Theta)+", scaling "+describeScaling(r.Scaling)+")")
	c.follow(t, r)
}

// follow looks which rope the table is of, for a hint.
func (c *comparison) follow(t turning, r model.Rope) {
	last := len(t.values) - 1
	try := r
	switch {
	case t.divided:
		try.Scaling = llama3s(math.Round(t.values[last]))
	case last > 0:
		// The first frequency is 1 and the last theta^(-2·last/d), both divided where
		// positions are.
		factor := math.Round(1 / t.values[0])
		try = model.Rope{Theta: math.Round(math.Pow(t.values[last]*factor, -float64(last+1)/float64(last)))}
		if factor > 1 {
			try.Scaling = model.RopeScaling{Kind: "linear", Factor: factor}
		}
	}
	if t.divided && t.differs(model.Rope{Theta: r.Theta}) < 0 {
		try.Scaling = model.RopeScaling{}
	}
	if !(try.Theta > 0 && !math.IsInf(try.Theta, 0)) || t.differs(try) >= 0 {
		return
	}
	if try.Theta != r.Theta {
		c.set["model.rope.theta"] = show(try.Theta)
	}
	if try.Scaling != r.Scaling {
		c.setScaling(try.Scaling)
	}
}

// describeScaling prints a scaling in one line.
func describeScaling(s model.RopeScaling) string {
	switch s.Kind {
	case "":
		return "none"
	case "linear":
		return "linear by " + show(s.Factor)
	}
	// Numbers that a file leaves out are not printed.
	t := s.Kind
	for _, n := range []struct {
		name  string
		value float64
	}{{"factor", s.Factor}, {"low_freq_factor", s.LowFreqFactor}, {"high_freq_factor", s.HighFreqFactor}, {"original_context", float64(s.OriginalContext)}} {
		if n.value != 0 {
			t += " " + n.name + " " + show(n.value)
		}
	}
	return t
}

// setScaling puts a scaling into the hint.
func (c *comparison) setScaling(s model.RopeScaling) {
	const at = "model.rope.scaling."
	if c.set[at+"kind"] = s.Kind; s.Kind == "" {
		c.set[at+"kind"] = "none"
	}
	for name, v := range map[string]float64{"factor": s.Factor, "low_freq_factor": s.LowFreqFactor,
		"high_freq_factor": s.HighFreqFactor, "original_context": float64(s.OriginalContext)} {
		if v != 0 {
			c.set[at+name] = show(v)
		}
	}
}

// scaling compares the scaling that a file names.
func (c *comparison) scaling(f fact) {
	v := f.value.(scalingSaid)
	theirs, ours := v.RopeScaling, c.info.Architecture.Rope.Scaling
	if v.other != "" {
		// No spec has it. Up to some length of text it may do nothing.
		switch short := v.harmless >= c.info.Context; {
		case short && ours.Kind == "":
			return
		case v.harmless > 0 && !short:
			c.set["model.context"] = fmt.Sprint(v.harmless)
		}
		c.differ(f, describeScaling(ours)+" (a spec has none, linear or llama3)", "model.rope.scaling")
		return
	}
	// Division by one is none, in whatever words.
	for _, s := range []*model.RopeScaling{&theirs, &ours} {
		if s.Factor == 1 {
			*s = model.RopeScaling{}
		}
	}
	// What the file leaves out is not guessed.
	agrees := theirs.Kind == ours.Kind
	for _, n := range [][2]float64{{theirs.Factor, ours.Factor}, {theirs.LowFreqFactor, ours.LowFreqFactor},
		{theirs.HighFreqFactor, ours.HighFreqFactor}, {float64(theirs.OriginalContext), float64(ours.OriginalContext)}} {
		agrees = agrees && (n[0] == 0 || sameNumber(n[0], n[1]))
	}
	if len(v.factors) > 0 {
		agrees = agrees && slices.Contains(v.factors, ours.Factor)
		theirs.Factor = v.factors[0]
	}
	if !agrees {
		c.differ(f, describeScaling(ours), "model.rope.scaling")
		c.setScaling(theirs)
	}
}

// turnings reads the tables of frequencies among a file's tensors. They hold
// nothing that a model needs, and tell which model it was.
func (s *claims) turnings(f File) error {
	for _, t := range f.Tensors() {
		divided := t.Name == "rope_freqs.weight"
		switch name := path.Ext("." + t.Name); {
		case divided:
		case name == ".inv_freq", strings.HasSuffix(t.Name, "rope.freqs"), strings.HasSuffix(t.Name, "attn_rot_embd"):
		default:
			continue
		}
		// A head has some hundred channels.
		if len(t.Shape) != 1 || t.Len() == 0 || t.Len() > 1<<16 || !t.DType.readable() {
			s.problems = append(s.problems, fmt.Sprintf("tensor %q is %s %v, and no table of frequencies", t.Name, t.DType, t.Shape))
			continue
		}
		values := make([]float32, t.Len())
		if err := f.Read(t.Name, values); err != nil {
			return err
		}
		table := turning{divided: divided, within: 2e-5}
		switch t.DType {
		case BF16:
			table.within = 1.0 / 128
		case F16:
			table.within, table.floor = 1.0/1024, 0x1p-24
		}
		for _, v := range values {
			table.values = append(table.values, float64(v))
		}
		s.add(ofTurning, table, "", fmt.Sprintf("tensor %q", t.Name))
	}
	return nil
}
