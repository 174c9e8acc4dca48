package weights

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/llamac/llamac/runtime/model"
)

// Files say more of their model than tensors show: what is added under the root
// of a norm, how fast queries and keys turn. A file of another model with the
// same shapes would load and write nonsense, so that all of it is compared.
// Readers of formats turn what a file says into facts (facts_*.go), and one
// comparer holds them against the spec's architecture (compare.go).

// subject is what a fact is about.
type subject int

const (
	ofDim subject = iota
	ofLayers
	ofVocab
	ofContext
	ofHeads
	ofKVHeads
	ofHeadDim
	ofRotated         // channels of a head
	ofRotatedFraction // of a head's channels
	ofFFNDim
	ofActivation // kind of node
	ofGated      // bool
	ofFFNBias    // bool
	ofQKVBias    // bool
	ofOutBias    // bool
	ofQKNorm     // as model.Attention has it
	ofNormKind   // "rms" or "layer"
	ofNormEps
	ofTheta
	ofScaling // scalingSaid
	ofTurning // turning: a table of frequencies
	ofWindow  // positions; 0 for all
	ofScoreScale
	ofScoreCap
	ofLogitCap
	ofForm // "sequential" or "parallel"
	ofTie  // bool
	ofElse // string: why no plain block computes it
)

// fact is one thing that a file says of its model, and where.
type fact struct {
	about subject
	value any    // a float64 for numbers; see the subjects for others
	text  string // the value as the file has it
	at    string // "config.json: rope_theta"
	// implied facts follow from others of the same file: one difference is told
	// once, so that they count only where those others agree.
	implied bool
}

// claims are all that a file says.
type claims struct {
	facts    []fact
	problems []string // values that mean nothing, as a number of heads that is a list
	notes    []string // what was not compared
}

// add takes a fact down. The text is made from the value where there is none.
func (s *claims) add(about subject, value any, text, at string) {
	if text == "" {
		text = show(value)
	}
	s.facts = append(s.facts, fact{about: about, value: value, text: text, at: at})
}

// imply takes down what follows from other facts, such as the width of heads.
func (s *claims) imply(about subject, value any, text, at string) {
	s.add(about, value, text, at)
	s.facts[len(s.facts)-1].implied = true
}

// number finds a numeric fact. The last counts, if a file says it twice.
func (s *claims) number(about subject) (float64, bool) {
	for i := len(s.facts) - 1; i >= 0; i-- {
		if v, ok := s.facts[i].value.(float64); ok && s.facts[i].about == about {
			return v, true
		}
	}
	return 0, false
}

// impliedHeadDim takes down what the width of heads is in formats that divide the
// model's width by the number of heads where they do not say it.
func (s *claims) impliedHeadDim(at string) {
	if _, stated := s.number(ofHeadDim); stated {
		return
	}
	d, ok1 := s.number(ofDim)
	h, ok2 := s.number(ofHeads)
	// A fraction is a contradiction of its own, and the file's.
	if ok1 && ok2 && h > 0 && math.Mod(d, h) == 0 {
		s.imply(ofHeadDim, d/h, fmt.Sprintf("absent, which means %s/%s = %s", show(d), show(h), show(d/h)), at)
	}
}

// show prints a value as JSON and Jsonnet spell it, so that a hint can be copied.
func show(v any) string {
	switch v := v.(type) {
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	// As the file's program printed it: 1e-05 and not 9.999999747378752e-06.
	case float32:
		return strconv.FormatFloat(float64(v), 'g', -1, 32)
	case string:
		return strconv.Quote(v)
	}
	return fmt.Sprint(v)
}

// sameNumber compares numbers as float32: a GGUF rounds what a config.json spells out,
// and what is computed is float32 as well.
func sameNumber(a, b float64) bool { return a == b || float32(a) == float32(b) }

// scalingSaid is what a file says of stretched frequencies. Numbers that it leaves
// out are zero.
type scalingSaid struct {
	model.RopeScaling
	factors  []float64 // one of these, where the file leaves the choice to its program
	other    string    // a kind that no spec has
	harmless int       // contexts up to this one are not changed by it; 0 if all are
}

// MismatchError says in what a weight file contradicts the spec of the model that
// it should fill.
type MismatchError struct {
	Path string // of the weights
	Spec string // the spec's file
	// Differences name both values and both places, each.
	Differences []string
	// Set are the fields that would follow the file, as the compiler's flag --set
	// takes them: "model.rope.theta=100000". Empty where no field can.
	Set []string
}

func (e *MismatchError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s is no file of the model that %s describes:", e.Path, e.Spec)
	for _, d := range e.Differences {
		b.WriteString("\n\t" + d)
	}
	// One command that follows all of it.
	if len(e.Set) > 0 {
		b.WriteString("\nto follow the file, add --set " + strings.Join(e.Set, " --set "))
	}
	return b.String()
}

// agree compares all that an open file says with the model. notes are what is
// worth a warning.
func agree(info model.Info, path string, f File) (notes []string, err error) {
	s, err := facts(info, path, f)
	if err != nil {
		return nil, err
	}
	// Values without a meaning first: nothing can be compared with them.
	if len(s.problems) > 0 {
		return nil, bad(path, -1, "%s", strings.Join(s.problems, "\n\t"))
	}
	notes, err = compare(info, path, f, s)
	return append(s.notes, notes...), err
}
