package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/llamac/llamac/data/prepare"
	"github.com/llamac/llamac/internal/gobuild"
	"github.com/llamac/llamac/tokenizer"
)

// tokenizerCmd works on tokenizer files of any format.
// They are the library's functions with files and flags around them;
// docs/tokenizer.md says what ids are exact to.
type tokenizerCmd struct {
	Encode tokEncodeCmd `cmd:"" help:"Turn lines of standard input into ids, one line a line."`
	Decode tokDecodeCmd `cmd:"" help:"Turn lines of ids into text."`
	Info   tokInfoCmd   `cmd:"" help:"Show what a tokenizer file holds."`
	Train  tokTrainCmd  `cmd:"" help:"Learn a SentencePiece BPE vocabulary with LLaMA's options."`
}

// modelFlag names the vocabulary. Formats are told by content, so there is no
// flag for them.
type modelFlag struct {
	Model string `help:"Tokenizer: .model, tokenizer.bin, tokenizer.json or GGUF, recognised by content." required:"" type:"path" placeholder:"FILE"`
}

// tokEncodeCmd is a filter: a line of text in, a line of ids out, in parallel
// and in order.
type tokEncodeCmd struct {
	modelFlag
	BOS   bool `help:"Put BOS before each text." name:"bos"`
	EOS   bool `help:"Put EOS after each text." name:"eos"`
	Whole bool `help:"Take all of standard input as one text."`
	// What the libraries do with each format is the default.
	NoSpecials bool `help:"Keep control tokens that the text spells out, such as <|endoftext|>, as text, as data preparation does." name:"no-specials"`
}

func (c *tokEncodeCmd) Run() error {
	t, err := tokenizer.Open(c.Model)
	if err != nil {
		return err
	}
	if c.NoSpecials {
		t = tokenizer.WithoutSpecials(t)
	}
	return tokenizer.EncodeLines(t, os.Stdin, stdout, tokenizer.LineOptions{BOS: c.BOS, EOS: c.EOS, Whole: c.Whole})
}

// tokDecodeCmd is its inverse.
type tokDecodeCmd struct{ modelFlag }

func (c *tokDecodeCmd) Run() error {
	t, err := tokenizer.Open(c.Model)
	if err != nil {
		return err
	}
	return tokenizer.DecodeLines(t, os.Stdin, stdout)
}

// tokInfoCmd describes a vocabulary: kinds of pieces, how text is cut, and the
// hash by which data sets know it.
type tokInfoCmd struct {
	modelFlag
	JSON bool `help:"Print every figure as JSON." name:"json"`
}

func (c *tokInfoCmd) Run() error {
	r, err := tokenizer.InfoFile(c.Model)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(r)
	}
	fmt.Fprint(stdout, r)
	return nil
}

// tokTrainCmd learns a vocabulary from files. What a run learns from its own
// mixture, train does by itself.
type tokTrainCmd struct {
	Input     []string `help:"Text files; globs are expanded." required:"" placeholder:"GLOB"`
	VocabSize int      `help:"Pieces to learn." required:"" placeholder:"N"`
	Model     string   `help:"File to write." required:"" type:"path" placeholder:"OUT.model"`
	Coverage  float64  `help:"Share of all characters that get a piece of their own." default:"0.99995"`
	MaxLine   int      `name:"max-sentence-length" help:"Bytes of a line that are learned from as a whole." default:"4192" placeholder:"BYTES"`
	LongLines string   `help:"What becomes of longer lines: cut, or drop as spm_train does." enum:"cut,drop" default:"cut"`
}

func (c *tokTrainCmd) Run() error {
	var files []string
	for _, g := range c.Input {
		// Quoted on the command line, a pattern reaches here on every system;
		// what is not one matches itself.
		m := []string{g}
		if _, err := os.Stat(g); err != nil {
			if m, err = filepath.Glob(g); err != nil {
				return usagef("--input=%s: %v", g, err)
			}
		}
		// A pattern that matches nothing is a slip, and never meant.
		if len(m) == 0 {
			return usagef("--input=%s: no such file", g)
		}
		for _, path := range m {
			// Of a folder, a compressed file or one in UTF-16 the vocabulary
			// would be none of any text.
			if err := prepare.CheckText(path); err != nil {
				return fmt.Errorf("--input: %w", err)
			}
			if real, err := filepath.EvalSymlinks(path); err == nil {
				if path, err = filepath.Abs(real); err != nil {
					return err
				}
			}
			if !slices.Contains(files, path) {
				files = append(files, path)
			}
		}
	}
	// Byte fallback, single digits, no normalisation: what LLaMA's own
	// vocabulary was learned with.
	opt := tokenizer.LlamaOptions(c.VocabSize)
	opt.CharacterCoverage = c.Coverage
	opt.MaxLineLength, opt.CutLongLines = c.MaxLine, c.LongLines == "cut"
	// Learning is silent to a file and shown to a person.
	l := &progressLine{}
	opt.Progress = l.learning
	// Learning from gigabytes takes a while.
	ctx, stop := interruptible()
	defer stop()
	t, report, err := tokenizer.TrainReported(ctx, tokenizer.Files(files...), opt)
	if err != nil {
		return fmt.Errorf("%s: %w", strings.Join(c.Input, ", "), err)
	}
	var b bytes.Buffer
	if err := tokenizer.WriteModel(&b, t); err != nil {
		return err
	}
	// Whole or not at all: a vocabulary that is cut short still looks like one.
	if err := gobuild.WriteFile(c.Model, b.Bytes()); err != nil {
		return err
	}
	// The vocabulary is good all the same, but not the one that more memory
	// would give.
	for _, note := range learningNotes(opt, report) {
		fmt.Fprintln(os.Stderr, note)
	}
	// Which may be fewer than asked for, where the text has no more to give.
	fmt.Fprintf(stdout, "%s: %d pieces\n", c.Model, t.Vocab())
	return nil
}

// learningNotes says what of the text a vocabulary was not learned from, or not
// as it stands.
func learningNotes(opt tokenizer.TrainOptions, r *tokenizer.TrainReport) (notes []string) {
	add := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }
	if r.LongLines > 0 {
		share := 100 * float64(r.LongBytes) / float64(r.Bytes)
		if opt.CutLongLines {
			add("lines longer than %d bytes: %d, %.3g%% of the text; learned from in parts, cut at spaces", opt.MaxLineLength, r.LongLines, share)
		} else {
			add("warning: lines longer than %d bytes: %d, %.3g%% of the text; left out, --long-lines=cut learns from them", opt.MaxLineLength, r.LongLines, share)
		}
	}
	if r.MarkedLines > 0 {
		add("warning: lines that hold U+2585, SentencePiece's own mark: %d, left out", r.MarkedLines)
	}
	if r.DroppedWords > 0 {
		add("warning: %d rare words were left out for lack of memory", r.DroppedWords)
	}
	return notes
}
