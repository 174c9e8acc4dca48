// Package corpus makes what a spec's training reads: its tokenizer and its
// prepared data set, in the cache, once.
//
// It stands between specs, which says what is wanted, and data/prepare and
// tokenizer, which know nothing of specs.
package corpus

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/llamac/llamac/data"
	"github.com/llamac/llamac/data/prepare"
	"github.com/llamac/llamac/internal/gobuild"
	"github.com/llamac/llamac/specs"
	"github.com/llamac/llamac/tokenizer"
)

// Options are the choices of one preparation.
type Options struct {
	// Both fill it by content: a name there is a hash of all that decides the
	// file, so that two specs with the same data share it and a changed one
	// cannot find a stale set.
	Cache   string // folder for tokenizers and data sets
	OutDir  string // folder of the data set instead of one in the cache
	Shard   prepare.Shard
	SkipBad bool
	// Vocabulary is a tokenizer file to use where the spec would have a
	// vocabulary learned, or names a file that is not there: that of the weights
	// that training starts from.
	Vocabulary string
	OnSkip     func(error)
	// Learning and Reading are called with progress, the first while a
	// vocabulary is learned, the second while text is tokenised; both may be
	// nil.
	Learning func(tokenizer.Progress)
	Reading  func(prepare.Progress)
	// Learned is told what a vocabulary was learned from; it may be nil.
	Learned func(tokenizer.TrainOptions, *tokenizer.TrainReport)
	OnNote  func(string) // told what a user should know of the input; may be nil
}

// Config is the preparation that a spec describes, its tokenizer aside.
func Config(s *specs.Spec, o Options) prepare.Config {
	c := prepare.Config{
		AddBOS: s.Tokenizer.BOS, AddEOS: s.Tokenizer.EOS, Specials: s.Tokenizer.Specials,
		Validation: s.Data.Validation, Dedup: s.Data.Dedup,
		// Relative paths in a spec are meant from its own folder, wherever
		// llamac is called.
		Base: s.Dir(), CacheDir: filepath.Join(o.Cache, "data"), HashDir: filepath.Join(o.Cache, "hashes"), OutDir: o.OutDir,
		Shard: o.Shard, SkipBad: o.SkipBad, OnSkip: o.OnSkip, OnNote: o.OnNote,
		OnFolder: gobuild.Use, // from here on, for preparing may take hours
	}
	for _, x := range s.Data.Sources {
		c.Sources = append(c.Sources, prepare.Source(x))
	}
	return c
}

// Prepare makes the data set and gives its folder and the tokenizer's file,
// which is empty for bytes.
func Prepare(ctx context.Context, s *specs.Spec, o Options) (dir, tokenizerFile string, err error) {
	tok, file, err := Tokenizer(ctx, s, o)
	if err != nil {
		return "", "", err
	}
	c := Config(s, o)
	c.Tokenizer = tok
	// What a document spells out stays text, or a page about <s> and </s> would
	// end in its middle.
	if !c.Specials {
		c.Tokenizer = tokenizer.WithoutSpecials(tok)
	}
	dir, err = prepare.Run(ctx, c, o.Reading)
	if err == nil && file != "" {
		err = keep(dir, file)
	}
	return dir, file, err
}

// TokenizerFile is the copy of its tokenizer that a set has beside its shards.
const TokenizerFile = "tokenizer.model"

// keep copies the tokenizer's file into a finished set, so that the set can be
// used where the spec's own is gone or would be learned anew. A file that holds
// a whole model beside its vocabulary stays where it is.
func keep(dir, file string) error {
	const most = 64 << 20
	if st, err := os.Stat(file); err != nil || st.Size() > most {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, "manifest.json")); err != nil {
		return nil // other jobs are still at it
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, TokenizerFile)
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, b) {
		return nil
	}
	return gobuild.WriteFile(path, b)
}

// Inputs lists the files that a spec's sources read now, with the hashes of their
// contents.
func Inputs(ctx context.Context, s *specs.Spec, o Options) ([]data.Input, error) {
	return prepare.Inputs(ctx, Config(s, o))
}

// Tokenizer gives the tokenizer that a spec names and the file that holds it,
// which is empty for bytes. A vocabulary that is to be learned from the spec's
// own training text is learned now, unless it has been.
func Tokenizer(ctx context.Context, s *specs.Spec, o Options) (tokenizer.Tokenizer, string, error) {
	switch s.Tokenizer.Kind {
	case "byte":
		return tokenizer.Byte(), "", nil
	case "bpe":
		if o.Vocabulary != "" {
			return open(s, o.Vocabulary, "tokenizer.vocab")
		}
		return learn(ctx, s, o)
	case "file":
		if o.Vocabulary != "" {
			return open(s, o.Vocabulary, "tokenizer.path")
		}
		if err := Missing(s); err != nil {
			return nil, "", err
		}
		return open(s, TokenizerPath(s), "tokenizer.path")
	}
	return nil, "", s.Errorf("tokenizer.kind", "tokenizer kind %q reads no text", s.Tokenizer.Kind)
}

// TokenizerPath is where the file lies that a spec names: as for data, meant
// from the spec's folder.
func TokenizerPath(s *specs.Spec) string {
	if filepath.IsAbs(s.Tokenizer.Path) {
		return s.Tokenizer.Path
	}
	return filepath.Join(s.Dir(), s.Tokenizer.Path)
}

// Missing is the error that the tokenizer's file is not there, which for most
// shipped specs is so at first: other people's vocabularies are theirs to give.
// It says where they come from. Callers ask before work that takes long.
func Missing(s *specs.Spec) error {
	if s.Tokenizer.Kind != "file" {
		return nil
	}
	path := TokenizerPath(s)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return nil // Open says what else is wrong
	}
	e := s.Errorf("tokenizer.path", "%s is not there: the model's own tokenizer, with %d pieces, which llamac does not ship", path, s.Model.Vocab)
	e.Note = strings.TrimPrefix(e.Note+"\n\t", "\n\t") + "it comes with the weights: tokenizer.model in the folder that Meta gives out, tokenizer.model or tokenizer.json in a folder of Hugging Face's\n" +
		"\tname it with --set tokenizer.path=FILE, or learn one from your data with --set tokenizer.kind=bpe; plan, compile, build and inspect need none"
	return e
}

// open reads a tokenizer's file and holds it to the model: ids behind the
// embedding would fail much later, or not at all. Fewer ids than rows are common,
// and the run says so. field is the one to blame.
func open(s *specs.Spec, path, field string) (tokenizer.Tokenizer, string, error) {
	t, err := tokenizer.Open(path)
	if err != nil {
		return nil, "", err
	}
	if t.Vocab() > s.Model.Vocab {
		return nil, "", s.Errorf(field, "%s has %d pieces, model.vocab is %d", path, t.Vocab(), s.Model.Vocab)
	}
	if s.Tokenizer.Specials && !tokenizer.SpecialsInText(t) {
		return nil, "", s.Errorf("tokenizer.specials", "%s finds no control tokens in text, as files of its format never do: leave specials false", path)
	}
	return t, path, nil
}

// paths are where a spec's text comes from, for messages.
func paths(s *specs.Spec) string {
	var all []string
	for _, x := range s.Data.Sources {
		for _, p := range x.Paths {
			all = append(all, strconv.Quote(p))
		}
	}
	if all == nil {
		return "the spec's sources"
	}
	return strings.Join(all, ", ")
}

// learn learns a vocabulary with LLaMA's options. Its file is named by all that
// decides it.
func learn(ctx context.Context, s *specs.Spec, o Options) (tokenizer.Tokenizer, string, error) {
	// The key is a hash over the names and contents of all input files and of
	// the options that choose text from them.
	key, docs, err := prepare.Texts(ctx, Config(s, o))
	if err != nil {
		return nil, "", err
	}
	opt := tokenizer.LlamaOptions(s.Tokenizer.Vocab)
	opt.CutLongLines = true
	name := sha256.Sum256(fmt.Appendf(nil, "%s %+v", key, opt))
	path := filepath.Join(o.Cache, "tokenizer", fmt.Sprintf("%s-%d-%x.model", s.Name, opt.VocabSize, name[:8]))
	// Files appear whole or not at all, so being there is being right.
	if _, err := os.Stat(path); err == nil {
		return open(s, path, "tokenizer.vocab")
	}
	opt.Progress = o.Learning
	t, report, err := tokenizer.TrainReported(ctx, docs, opt)
	if err != nil {
		return nil, "", fmt.Errorf("learning the vocabulary from %s: %w", paths(s), err)
	}
	if o.Learned != nil {
		o.Learned(opt, report)
	}
	var b bytes.Buffer
	if err := tokenizer.WriteModel(&b, t); err != nil {
		return nil, "", err
	}
	if err := gobuild.WriteFile(path, b.Bytes()); err != nil {
		return nil, "", err
	}
	return open(s, path, "tokenizer.vocab")
}
