package data

import "fmt"

// Warnings says what is odd about a run of so many training sequences: nothing
// held out though that was asked for, or next to nothing, and sources that never
// come up.
func (st *Stream) Warnings(sequences int64) (out []string) {
	var held int64
	for _, s := range st.set.Manifest.Sources {
		held += s.HeldOut.Tokens
	}
	switch share := st.set.Manifest.Validation; {
	case share == 0: // as was asked for
	case held == 0 || len(st.val) == 0:
		out = append(out, fmt.Sprintf("data.validation is %g, and 0 tokens are held out: the text is too short, and there will be no validation loss", share))
	case held <= int64(st.context):
		out = append(out, fmt.Sprintf("only %d tokens are held out, less than one sequence of %d: the validation loss says little", held, st.context))
	}
	if sequences <= 0 {
		return out
	}
	for i, n := range st.Count(sequences) {
		if n == 0 && st.mix.counts[i] > 0 {
			out = append(out, fmt.Sprintf("source %q has a share of %g, and none of the run's %d sequences comes from it", st.src[i].name, st.set.Manifest.Sources[i].Share, sequences))
		}
	}
	return out
}
