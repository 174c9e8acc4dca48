package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/llamac/llamac/internal/corpus"
	"github.com/llamac/llamac/internal/gobuild"
	"github.com/llamac/llamac/specs"
	"github.com/llamac/llamac/tokenizer"
	"github.com/llamac/llamac/weights"
)

// Training text becomes ids before the generated program starts, so that what it
// checks of weights and tokenizers has to be known here already: text for weights
// that are trained on is cut into the pieces that they know.

// trainedVocabulary looks at the weights that a training starts from, or the run
// that it goes on with. For a spec that has a vocabulary learned it returns the
// file of theirs, to use instead; other tokenizers have to agree with theirs.
// note gets what a person should know.
func trainedVocabulary(s *specs.Spec, o corpus.Options, run, init string, resume, accept bool, note func(string)) (file string, err error) {
	from, flag := init, "--init="+init
	if resume {
		list, err := weights.Checkpoints(run)
		if err != nil {
			return "", err
		}
		if len(list) > 0 {
			// What it began with is in its checkpoints by now.
			from, flag, accept = run, "--resume: the run in "+run, false
		}
	}
	if from == "" || s.Tokenizer.Kind == "none" {
		return "", nil
	}
	own, err := weights.OwnTokenizer(from)
	if err != nil {
		return "", err
	}
	// A shipped spec names a file that comes with the weights.
	missing := corpus.Missing(s)
	if s.Tokenizer.Kind == "bpe" || missing != nil && own.Tokenizer != nil {
		return learnedVocabulary(s, o, own, from, resume, accept, note)
	}
	if missing != nil {
		return "", missing
	}
	tok, file, err := corpus.Tokenizer(context.Background(), s, o)
	if err != nil {
		return "", err
	}
	field := "tokenizer.kind"
	if file != "" {
		field = "tokenizer.path"
	}
	differs, _ := own.Differs(tok)
	if differs == "" || accept {
		return "", nil // the program says the rest
	}
	way := "--set tokenizer.kind=bpe goes on with theirs, --accept-tokenizer uses the spec's all the same"
	switch {
	case from == run:
		way = "going on keeps the tokenizer that the run began with"
	case own.From == "" && own.Tokenizer != nil:
		way = "--set tokenizer.kind=byte --set tokenizer.vocab=256 --set tokenizer.bos=false goes on with theirs, --accept-tokenizer uses the spec's all the same"
	case own.Tokenizer == nil:
		way = "--accept-tokenizer uses the spec's all the same"
	}
	return "", s.Errorf(field, "%s: the weights belong to another tokenizer, %s: %s\n\t%s", flag, own.Name(), differs, way)
}

// learnedVocabulary is trainedVocabulary for a spec that has one learned.
func learnedVocabulary(s *specs.Spec, o corpus.Options, own *weights.Own, from string, resume, accept bool, note func(string)) (string, error) {
	switch {
	case accept && own.Known() && s.Tokenizer.Kind == "bpe":
		note(fmt.Sprintf("warning: a vocabulary is learned anew for the weights of %s, which belong to another", from))
		return "", nil
	case own.Tokenizer == nil && resume:
		return "", nil // a run of an earlier version: the program compares what it can
	case own.Err != nil:
		return "", s.Errorf("tokenizer.kind", "the tokenizer of %s cannot be used: %v\n\t--accept-tokenizer learns a vocabulary anew for its weights", from, own.Err)
	case own.Tokenizer == nil && own.Hash != "":
		return "", s.Errorf("tokenizer.kind", "%s does not hold its tokenizer, %s\n\tname its file with --set tokenizer.kind=file --set tokenizer.path=FILE; --accept-tokenizer learns a vocabulary anew for its weights", from, own.Name())
	case own.Tokenizer == nil:
		note(fmt.Sprintf("warning: %s comes without a tokenizer: a vocabulary is learned, and its ids will hardly be those that the weights know", from))
		return "", nil
	case own.Tokenizer.Hash() == tokenizer.Byte().Hash():
		return "", s.Errorf("tokenizer.kind", "the weights of %s know bytes, and the spec has a vocabulary learned\n\t--set tokenizer.kind=byte --set tokenizer.vocab=256 --set tokenizer.bos=false goes on with bytes, --accept-tokenizer learns a vocabulary for them", from)
	}
	content, err := own.Content()
	if err != nil {
		return "", err
	}
	// By content, as all of the cache.
	sum := sha256.Sum256(content)
	path := filepath.Join(o.Cache, "tokenizer", fmt.Sprintf("%s-%x%s", s.Name, sum[:8], tokenizer.Extension(content)))
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if err := gobuild.WriteFile(path, content); err != nil {
			return "", err
		}
	}
	if !resume {
		instead := "instead of learning one"
		if s.Tokenizer.Kind == "file" {
			instead = "since tokenizer.path is not there"
		}
		note(fmt.Sprintf("vocabulary: %d pieces of %s, %s", own.Tokenizer.Vocab(), own.Name(), instead))
	}
	return path, nil
}
