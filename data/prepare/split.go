package prepare

import (
	"bytes"
	"context"
	"errors"
	"math"
	"unicode/utf8"
)

// Text is held out by whole documents where there are enough of them (heldOut),
// and else by position: the end of every document. A corpus of one file, or of a
// few, would otherwise have no validation, or no training.
const (
	splitDocuments = "documents"
	splitPosition  = "position"
)

// enoughDocs is from how many documents on each side a hash of their names is
// trusted to hold out about what was asked for. With fewer, what it holds out is
// measured.
const enoughDocs = 16

// tally counts the documents of some source by what their names decide.
type tally struct {
	held, kept           int
	heldBytes, keptBytes int64
}

func (t *tally) add(name string, size int64, share float64) {
	if heldOut(name, share) {
		t.held++
		t.heldBytes += size
	} else {
		t.kept++
		t.keptBytes += size
	}
}

// enough reports whether whole documents make the split that was asked for, to a
// factor of two, or of four where there are many: one file can be most of a text.
// Unless all documents were counted, many are taken for enough.
func (t *tally) enough(share float64, counted bool) bool {
	factor := 2.0
	if t.held >= enoughDocs && t.kept >= enoughDocs {
		if !counted {
			return true
		}
		factor = 4
	}
	all := float64(t.heldBytes + t.keptBytes)
	held, kept := float64(t.heldBytes), float64(t.keptBytes)
	return held > 0 && kept > 0 && held >= all*share/factor && held <= all*share*factor && kept >= all*(1-share)/factor
}

// chooseSplits decides for each source how it is split. It is decided for the
// mixture: a book beside a crawl need not be cut, but a source whose documents
// would all be held out must be.
//
// Files that are documents are known by name. Others are read, up to where there
// are enough.
func (p *plan) chooseSplits(ctx context.Context, cfg *Config) error {
	p.split = make([]string, len(p.files))
	if cfg.Validation == 0 {
		return nil
	}
	var all tally
	each := make([]tally, len(p.files))
	count := func(i int, name string, size int64) {
		all.add(name, size, cfg.Validation)
		each[i].add(name, size, cfg.Validation)
	}
	for i, files := range p.files {
		if kinds[cfg.Sources[i].Kind].whole {
			for _, f := range files {
				count(i, f.name, f.size)
			}
		}
	}
	for i, files := range p.files {
		s := &cfg.Sources[i]
		k := kinds[s.Kind]
		if k.whole {
			continue
		}
		var read int64
		done := func() bool {
			return all.held >= enoughDocs && all.kept >= enoughDocs && each[i].kept > 0 || s.MaxBytes > 0 && read >= s.MaxBytes
		}
		for j := range files {
			if done() {
				break
			}
			err := readTexts(k, &files[j], func(d rawDoc) error {
				if err := ctx.Err(); err != nil {
					return err
				}
				count(i, d.name, int64(len(d.body)))
				read += int64(len(d.body))
				if done() {
					return errStopped
				}
				return nil
			})
			// Broken input is met again, and reported, when it is read for good.
			var bad *InputError
			if err != nil && err != errStopped && !errors.As(err, &bad) {
				return err
			}
		}
	}
	counted := true
	for i := range p.files {
		counted = counted && kinds[cfg.Sources[i].Kind].whole
	}
	byName := all.enough(cfg.Validation, counted)
	for i := range p.split {
		p.split[i] = splitPosition
		if byName && each[i].kept > 0 {
			p.split[i] = splitDocuments
		}
	}
	return nil
}

// splitAt is where the held-out end of a text begins, if it is split by
// position: at the line that begins nearest to the share asked for, else at a
// word, else at a character. Something is left to train on, and where the text is
// too short for both there is nothing held out.
func splitAt(text []byte, share float64) int {
	n := len(text)
	at := max(n-int(math.Round(float64(n)*share)), 1)
	if at >= n {
		return n
	}
	// Not so far that one side would lose half of what is due to it.
	room := min(4096, at/2, (n-at)/2)
	for _, c := range []byte("\n ") {
		behind := bytes.LastIndexByte(text[at-room:at], c)
		ahead := bytes.IndexByte(text[at:at+room], c)
		switch {
		case behind < 0 && ahead < 0:
			continue
		case ahead < 0 || behind >= 0 && room-behind <= ahead+1:
			return at - room + behind + 1
		default:
			return at + ahead + 1
		}
	}
	for at < n && !utf8.RuneStart(text[at]) {
		at++
	}
	return at
}
