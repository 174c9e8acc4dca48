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
			return nil, "", fmt.Errorf("%s: %s has %d pieces, model.vocab is %d", s.Pos("tokenizer.path"), path, t.Vocab(), s.Model.Vocab)
		}
		return t, path, nil
	}
	return nil, "", fmt.Errorf("%s: tokenizer kind %q cannot be prepared yet", s.Pos("tokenizer.kind"), s.Tokenizer.Kind)
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
	begun := false
	report := func(p prepare.Progress) {
		if !show || p.Units == p.UnitsTotal && !begun && p.Docs == 0 {
			return // it was there already
		}
		begun = true
		printProgress(p)
	}
	dir, err = prepare.Run(ctx, cfg, report)
	if begun {
		fmt.Fprintln(os.Stderr)
	}
	if ctx.Err() != nil && err != nil {
		return "", "", errInterrupted
	}
	return dir, file, err
}

// printProgress shows the preparation on one line.
func printProgress(p prepare.Progress) {
	const width = 24
	share := 1.0
	if p.BytesTotal > 0 {
		share = float64(p.Bytes) / float64(p.BytesTotal)
	}
	n := min(width, int(share*width))
	fmt.Fprintf(os.Stderr, "\rpreparing data [%s%s] %3.0f%%  %d documents, %.1f M tokens, %s ", strings.Repeat("=", n), strings.Repeat(" ", width-n),
		100*share, p.Docs, float64(p.Tokens)/1e6, p.Elapsed.Round(time.Second/10))
}
