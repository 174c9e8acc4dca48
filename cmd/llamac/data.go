package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/llamac/llamac/data/prepare"
	"github.com/llamac/llamac/internal/gobuild"
	"github.com/llamac/llamac/specs"
	"github.com/llamac/llamac/tokenizer"
)

// openTokenizer gives the tokenizer that a spec names and its file, if it has
// one.
func openTokenizer(s *specs.Spec) (tokenizer.Tokenizer, string, error) {
	switch s.Tokenizer.Kind {
	case "byte":
		return tokenizer.Byte(), "", nil
	case "file":
		path := s.Tokenizer.Path
		if !filepath.IsAbs(path) {
			path = filepath.Join(filepath.Dir(s.File), path)
		}
		t, err := tokenizer.Open(path)
		if err != nil {
			return nil, "", err
		}
		if t.Vocab() != s.Model.Vocab {
			return nil, "", s.Errorf("tokenizer.path", "%s has %d pieces, model.vocab is %d", path, t.Vocab(), s.Model.Vocab)
		}
		return t, path, nil
	}
	return nil, "", s.Errorf("tokenizer.kind", "tokenizer kind %q cannot be prepared yet", s.Tokenizer.Kind)
}

// prepareData makes the prepared data set of a spec in the cache, or finds it
// there, and gives its folder and the tokenizer's file.
func prepareData(s *specs.Spec, show bool) (dir, tokenizerFile string, err error) {
	tok, file, err := openTokenizer(s)
	if err != nil {
		return "", "", err
	}
	cache, err := gobuild.CacheDir()
	if err != nil {
		return "", "", err
	}
	cfg := prepare.Config{
		Tokenizer: tok, AddBOS: s.Tokenizer.BOS, AddEOS: s.Tokenizer.EOS,
		Validation: s.Data.Validation, Dedup: s.Data.Dedup, Boundary: s.Data.Boundary,
		Base: filepath.Dir(s.File), CacheDir: filepath.Join(cache, "data"),
	}
	for _, x := range s.Data.Sources {
		cfg.Sources = append(cfg.Sources, prepare.Source(x))
	}
	ctx, stop := interruptible()
	defer stop()
	bar := &progressBar{terminal: isTerminal(os.Stderr)}
	report := func(p prepare.Progress) {
		if !show || p.Units == p.UnitsTotal && !bar.begun && p.Docs == 0 {
			return // it was there already
		}
		bar.show(p)
	}
	dir, err = prepare.Run(ctx, cfg, report)
	bar.end()
	if ctx.Err() != nil && err != nil {
		return "", "", errInterrupted
	}
	return dir, file, err
}

// progressBar shows the preparation: on a terminal as a bar that is drawn over
// and over, else as a line now and then.
type progressBar struct {
	terminal, begun bool
	last            prepare.Progress
	printed         time.Duration // into the preparation, when the last line was
}

func (b *progressBar) show(p prepare.Progress) {
	const pause = 10 * time.Second
	b.begun, b.last = true, p
	switch {
	case b.terminal:
		b.draw("\r", "")
	case p.Elapsed-b.printed >= pause:
		b.draw("", "\n")
		b.printed = p.Elapsed
	}
}

// end leaves the last state on a line of its own.
func (b *progressBar) end() {
	if b.begun {
		b.draw(map[bool]string{true: "\r"}[b.terminal], "\n")
	}
}

func (b *progressBar) draw(before, after string) {
	const width = 24
	p, share := b.last, 1.0
	if p.BytesTotal > 0 {
		share = float64(p.Bytes) / float64(p.BytesTotal)
	}
	n := min(width, int(share*width))
	fmt.Fprintf(os.Stderr, "%spreparing data [%s%s] %3.0f%%  %d documents, %.1f M tokens, %s %s", before, strings.Repeat("=", n), strings.Repeat(" ", width-n),
		100*share, p.Docs, float64(p.Tokens)/1e6, p.Elapsed.Round(time.Second/10), after)
}

// isTerminal tells a screen from a file or a pipe.
func isTerminal(f *os.File) bool {
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}
