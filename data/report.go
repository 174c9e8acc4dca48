package data

import (
	"fmt"
	"io"
	"sort"
	"strings"
	"text/tabwriter"
	"unicode"
)

// SourceStats is one source in numbers, for tables and for programs to read.
// It is what `llamac data stats` prints, as a table or as JSON.
type SourceStats struct {
	Name          string  `json:"name"`
	Kind          string  `json:"kind"`
	Files         int     `json:"files"`
	Train         Counts  `json:"train"`
	HeldOut       Counts  `json:"held_out"`
	Duplicates    Counts  `json:"duplicates"`
	Beyond        Counts  `json:"beyond"`
	Empty         int64   `json:"empty"`
	LeftOut       int64   `json:"left_out"`
	BadDocs       int64   `json:"bad_docs"`
	BadFiles      int64   `json:"bad_files"`
	BytesPerToken float64 `json:"bytes_per_token"`
	Share         float64 `json:"share"`          // of the spec, out of 1
	EpochsAsked   float64 `json:"epochs_asked"`   // of the spec, 0 when it says nothing
	Sequences     int64   `json:"sequences"`      // of the run that was asked about
	ShareRealised float64 `json:"share_realised"` // in the run's tokens
	Epochs        float64 `json:"epochs"`         // in the run
}

// Stats returns the numbers of every source.
func (s *Set) Stats() []SourceStats {
	var out []SourceStats
	for _, m := range s.Manifest.Sources {
		x := SourceStats{Name: m.Name, Kind: m.Kind, Files: m.Files, Train: m.Train, HeldOut: m.HeldOut,
			Duplicates: m.Duplicates, Beyond: m.Beyond, Empty: m.Empty, LeftOut: m.LeftOut, BadDocs: m.BadDocs, BadFiles: m.BadFiles,
			Share: m.Share, EpochsAsked: m.Epochs}
		// Of all text of the source: held-out documents are drawn by name,
		// which says nothing about how they tokenise.
		if t := m.Train.Tokens + m.HeldOut.Tokens; t > 0 {
			x.BytesPerToken = float64(m.Train.Bytes+m.HeldOut.Bytes) / float64(t)
		}
		out = append(out, x)
	}
	return out
}

// Stats returns the numbers of every source with those of a run of so many
// sequences.
func (st *Stream) Stats(sequences int64) []SourceStats {
	out := st.set.Stats()
	counts, epochs := st.Count(sequences), st.Epochs(sequences)
	for i := range out {
		out[i].Sequences, out[i].Epochs = counts[i], epochs[i]
		if sequences > 0 {
			out[i].ShareRealised = float64(counts[i]) / float64(sequences)
		}
	}
	return out
}

// WriteStats prints the numbers as a table and the shares as bars, at most
// width columns wide.
func WriteStats(w io.Writer, stats []SourceStats, width int) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "source\tdocuments\ttext\ttokens\tbytes/token\theld out\tshare\trealised\tepochs\tasked\t\n")
	// Only what can be added is: epochs of different sources have no sum.
	var total SourceStats
	for _, s := range stats {
		row(t, s)
		total.Train.Add(s.Train)
		total.HeldOut.Add(s.HeldOut)
		total.Share += s.Share
		total.ShareRealised += s.ShareRealised
		total.Sequences += s.Sequences
	}
	total.Name = "total"
	if n := total.Train.Tokens + total.HeldOut.Tokens; n > 0 {
		total.BytesPerToken = float64(total.Train.Bytes+total.HeldOut.Bytes) / float64(n)
	}
	row(t, total)
	if err := t.Flush(); err != nil {
		return err
	}
	// What is missing is as much a property of a set as what is there.
	if err := writeLosses(w, stats); err != nil {
		return err
	}
	return writeBars(w, stats, width)
}

// row prints one line of the table. What does not apply is a dash, not a zero.
func row(w io.Writer, s SourceStats) {
	realised, epochs, asked := "-", "-", "-"
	if s.Sequences > 0 {
		realised = fmt.Sprintf("%.3f%%", 100*s.ShareRealised)
	}
	if s.Epochs > 0 {
		epochs = fmt.Sprintf("%.2f", s.Epochs)
	}
	if s.EpochsAsked > 0 {
		asked = fmt.Sprintf("%.2f", s.EpochsAsked)
	}
	fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%.3f\t%s\t%.3f%%\t%s\t%s\t%s\t\n", s.Name, s.Train.Docs, size(s.Train.Bytes, "B"), size(s.Train.Tokens, ""),
		s.BytesPerToken, size(s.HeldOut.Tokens, ""), 100*s.Share, realised, epochs, asked)
}

// writeLosses says what of the input is not in the set, and why.
func writeLosses(w io.Writer, stats []SourceStats) error {
	for _, s := range stats {
		var parts []string
		add := func(n int64, what string) {
			if n > 0 {
				parts = append(parts, fmt.Sprintf("%d %s", n, what))
			}
		}
		add(s.Duplicates.Docs, "duplicates")
		add(s.Beyond.Docs, "beyond max_bytes")
		add(s.LeftOut, "excluded by kind")
		add(s.Empty, "empty")
		add(s.BadDocs, "broken")
		add(s.BadFiles, "files cut short by an error")
		if parts != nil {
			if _, err := fmt.Fprintf(w, "%s without: %s\n", s.Name, strings.Join(parts, ", ")); err != nil {
				return err
			}
		}
	}
	return nil
}

// writeBars draws for each source the share asked, and below it the share
// realised where a run was asked about.
func writeBars(w io.Writer, stats []SourceStats, width int) error {
	// Bars are drawn to the largest share, not to 1: with many sources all
	// would be too short to compare.
	longest, most := 0, 0.0
	for _, s := range stats {
		longest = max(longest, len(s.Name))
		most = max(most, s.Share, s.ShareRealised)
	}
	// What a line has beside the bar: two words, a percentage and the spaces
	// between.
	room := width - longest - len("  realised  100.000% ")
	if room < 8 || most == 0 {
		return nil // no room, no drawing
	}
	for _, s := range stats {
		_, err := fmt.Fprintf(w, "\n%-*s  asked    %8.3f%% %s", longest, s.Name, 100*s.Share, bar(s.Share/most, room))
		if err == nil && s.Sequences > 0 {
			_, err = fmt.Fprintf(w, "\n%-*s  realised %8.3f%% %s", longest, "", 100*s.ShareRealised, bar(s.ShareRealised/most, room))
		}
		if err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(w)
	return err
}

// bar draws a part of width columns, to an eighth of a column.
// part is at most 1.
func bar(part float64, width int) string {
	// Unicode has blocks of one to eight eighths of a column.
	eighths := int(part*float64(width)*8 + 0.5)
	s := strings.Repeat("█", eighths/8)
	if r := eighths % 8; r > 0 {
		s += string(rune('█' + 8 - r)) // narrower blocks follow the full one
	}
	// A share too small for a bar is still a share.
	if s == "" && part > 0 {
		s = "▏"
	}
	return s
}

// size prints a count with a decimal prefix.
// Four digits say more than a reader keeps.
func size(n int64, unit string) string {
	x, prefix := float64(n), ""
	for _, p := range []string{"k", "M", "G", "T", "P"} {
		if x < 1000 {
			break
		}
		x, prefix = x/1000, p
	}
	if prefix == "" {
		return strings.TrimRight(fmt.Sprintf("%d %s", n, unit), " ")
	}
	return fmt.Sprintf("%.4g %s%s", x, prefix, unit)
}

// WriteSample prints training sequences as text: for each its source, and a
// line with the name where a document begins. decode appends the text of ids.
func (st *Stream) WriteSample(w io.Writer, first int64, count int, decode func(dst []byte, ids []int32) []byte) error {
	seq := make([]int32, st.context+1)
	for n := first; n < first+int64(count); n++ {
		// The very tokens that a step reads, from the same function.
		st.Sequence(n, seq)
		src, at := st.place(n)
		docs := src.train.docsIn(at, int64(st.context))
		what := "documents"
		if len(docs) == 1 {
			what = "document"
		}
		fmt.Fprintf(w, "═══ sequence %d · %s · %d tokens · %d %s\n", n, src.name, st.context, len(docs), what)
		for i, d := range docs {
			// Inputs only: the last target is the first input of a window that
			// belongs elsewhere.
			end := st.context
			if i+1 < len(docs) {
				end = docs[i+1].at
			}
			how := "begins"
			if d.inside {
				how = "goes on"
			}
			if _, err := fmt.Fprintf(w, "─── %s %s\n%s\n", d.name, how, visible(decode(nil, seq[d.at:end]))); err != nil {
				return err
			}
		}
	}
	return nil
}

// seqDoc is a document within a sequence.
type seqDoc struct {
	at     int // first token of it in the sequence
	name   string
	inside bool // it began before the sequence
}

// docsIn names the documents that the n tokens from t on belong to.
func (r *run) docsIn(t, n int64) (out []seqDoc) {
	r.spans(t, n, func(s *Shard, at, k, off int64) {
		// The last document that began at or before the piece.
		first := int64(sort.Search(int(s.Docs), func(i int) bool { return s.start(int64(i)) > at })) - 1
		for i := max(first, 0); i < s.Docs; i++ {
			d, err := s.Doc(i)
			if err != nil {
				panic(err)
			}
			if d.Start >= at+k {
				break
			}
			name, err := s.DocName(i, d)
			if err != nil {
				panic(err)
			}
			// A document that goes on in a next shard cannot be: documents end
			// with their shard.
			out = append(out, seqDoc{at: int(off + max(d.Start-at, 0)), name: name, inside: d.Start < at})
		}
	})
	return out
}

// visible makes text safe for a terminal: control characters other than
// newline and tab, and broken UTF-8, are written as escapes.
func visible(text []byte) string {
	var b strings.Builder
	for i, r := range string(text) {
		switch {
		// A replacement character that is in the text is shown; one that range
		// made of a bad byte is not.
		case r == unicode.ReplacementChar && !strings.HasPrefix(string(text[i:min(i+3, len(text))]), "\ufffd"):
			fmt.Fprintf(&b, "\\x%02x", text[i])
		case r == '\n' || r == '\t' || unicode.IsPrint(r) || unicode.IsSpace(r) && r != '\r':
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, "\\u%04x", r)
		}
	}
	return b.String()
}
