package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/llamac/llamac/data"
	"github.com/llamac/llamac/internal/corpus"
	"github.com/llamac/llamac/internal/gobuild"
	"github.com/llamac/llamac/runtime/console"
	"github.com/llamac/llamac/specs"
	"github.com/llamac/llamac/tokenizer"
)

// text gives the set that a training reads and the file of its tokenizer: the one
// that was named, or the spec's sources as they are now.
func (c *trainCmd) text(s *specs.Spec, o corpus.Options) (dir, tokenizerFile string, err error) {
	if c.Data != "" {
		gobuild.Use(c.Data) // it may be one of the cache
		tokenizerFile, err = checkSet(s, c.Data, o)
		return c.Data, tokenizerFile, err
	}
	return prepareData(s, o)
}

// sameText compares the text of a run that goes on with the spec's sources as they
// are now, before a vocabulary is learned from them and they are prepared: what
// would fail after that is the run, and what changed is the text. A run that
// keeps no list of its text is left to the program.
func (c *trainCmd) sameText(s *specs.Spec, o corpus.Options, run string) error {
	if !c.Resume || c.Changes || c.Data != "" {
		return nil
	}
	before, err := data.ReadInputs(run)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	ctx, stop := interruptible()
	defer stop()
	what := ""
	now, err := corpus.Inputs(ctx, s, o)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		what = err.Error()
	default:
		change := data.CompareInputs(before, now)
		if change.None() {
			return nil
		}
		what = change.String()
	}
	if root := goRoot(s); root != "" {
		what += "; the spec reads the Go distribution, which an upgrade of Go changes"
	}
	return fmt.Errorf("the text that the run in %s began with has changed: %s; %s", run, what, c.ways(s, run))
}

// goRoot is the first path of the spec's sources that lies in the Go
// distribution.
func goRoot(s *specs.Spec) string {
	for _, src := range s.Data.Sources {
		if len(src.Paths) == 0 && strings.HasPrefix(src.Kind, "go_") {
			return "$GOROOT"
		}
		for _, p := range src.Paths {
			if strings.HasPrefix(p, "$GOROOT") {
				return p
			}
		}
	}
	return ""
}

// ways says how a run can go on whose text has changed.
func (c *trainCmd) ways(s *specs.Spec, run string) string {
	args := []string{"train", c.Spec}
	for _, set := range c.Set {
		args = append(args, "--set", set)
	}
	if c.RunDir != nil {
		args = append(args, "--run", *c.RunDir)
	}
	call := self() + " " + console.Line(append(args, "--resume")...)
	var past struct{ Data string }
	b, err := os.ReadFile(filepath.Join(run, "run.json"))
	if err == nil {
		err = json.Unmarshal(b, &past)
	}
	was := ""
	// The set of the text as it was stays in the cache until it is cleaned.
	if err == nil && past.Data != "" {
		if m, err := data.ReadManifest(past.Data); err == nil && m.Key != "" {
			was = fmt.Sprintf("%s --data %s goes on with the text as it was, ", call, console.Word(past.Data))
		} else {
			was = fmt.Sprintf("the text as it was is no longer in %s; ", past.Data)
		}
	}
	return was + fmt.Sprintf("%s --accept-changes with the text as it is now; another --run starts anew", call)
}

// checkSet holds a set to the spec that is to train on it, and gives the file of
// its tokenizer, empty for bytes.
func checkSet(s *specs.Spec, dir string, o corpus.Options) (tokenizerFile string, err error) {
	bad := func(format string, args ...any) error {
		return usagef("--data=%s: %s", dir, fmt.Sprintf(format, args...))
	}
	set, err := data.Open(dir)
	if err != nil {
		return "", fmt.Errorf("--data=%s: %w", dir, err)
	}
	defer set.Close()
	var tok tokenizer.Tokenizer
	switch path := filepath.Join(dir, corpus.TokenizerFile); {
	case s.Tokenizer.Kind == "byte":
		tok = tokenizer.Byte()
	case s.Tokenizer.Kind == "bpe" && exists(path):
		if tok, err = tokenizer.Open(path); err != nil {
			return "", err
		}
		tokenizerFile = path
	default:
		ctx, stop := interruptible()
		defer stop()
		tok, tokenizerFile, err = corpus.Tokenizer(ctx, s, o)
		switch {
		case ctx.Err() != nil:
			return "", context.Cause(ctx)
		case err != nil:
			return "", err
		}
		if tokenizerFile != "" {
			gobuild.Use(tokenizerFile)
		}
	}
	t := set.Manifest.Tokenizer
	switch {
	case t.Hash != tok.Hash():
		return "", bad("the set was made with another tokenizer (hash %.12s) than the spec's (%.12s)", t.Hash, tok.Hash())
	case t.Vocab > s.Model.Vocab:
		return "", bad("the set has ids up to %d, model.vocab is %d", t.Vocab-1, s.Model.Vocab)
	case (t.BOS >= 0) != s.Tokenizer.BOS || (t.EOS >= 0) != s.Tokenizer.EOS:
		return "", bad("documents of the set have BOS: %v and EOS: %v, the spec says tokenizer.bos: %v and tokenizer.eos: %v", t.BOS >= 0, t.EOS >= 0, s.Tokenizer.BOS, s.Tokenizer.EOS)
	}
	type source struct {
		name, kind string
		share      float64
	}
	var have, want []source
	for _, x := range set.Manifest.Sources {
		have = append(have, source{x.Name, x.Kind, x.Share})
	}
	for _, x := range s.Data.Sources {
		want = append(want, source{x.Name, x.Kind, x.Share})
	}
	if !slices.Equal(have, want) {
		return "", bad("the set has the sources %v, the spec %v: names, kinds and shares must be the same", have, want)
	}
	if set.Manifest.Validation != s.Data.Validation {
		return "", bad("the set holds out %g, data.validation is %g", set.Manifest.Validation, s.Data.Validation)
	}
	return tokenizerFile, nil
}

// exists reports whether there is a file.
func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
