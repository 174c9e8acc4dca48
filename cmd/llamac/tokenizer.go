package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"github.com/llamac/llamac/internal/gobuild"
	"github.com/llamac/llamac/tokenizer"
)

// tokenizerCmd works on tokenizer files of any format.
type tokenizerCmd struct {
	Encode tokEncodeCmd `cmd:"" help:"Turn lines of standard input into ids, one line a line."`
	Decode tokDecodeCmd `cmd:"" help:"Turn lines of ids into text."`
	Info   tokInfoCmd   `cmd:"" help:"Show what a tokenizer file holds."`
	Train  tokTrainCmd  `cmd:"" help:"Learn a SentencePiece BPE vocabulary with LLaMA's options."`
}

type modelFlag struct {
	Model string `help:"Tokenizer: .model, tokenizer.bin, tokenizer.json or GGUF, recognised by content." required:"" type:"path" placeholder:"FILE"`
}

type tokEncodeCmd struct {
	modelFlag
	BOS   bool `help:"Put BOS before each text." name:"bos"`
	EOS   bool `help:"Put EOS after each text." name:"eos"`
	Whole bool `help:"Take all of standard input as one text."`
}

func (c *tokEncodeCmd) Run() error {
	t, err := tokenizer.Open(c.Model)
	if err != nil {
		return err
	}
	return tokenizer.EncodeLines(t, os.Stdin, os.Stdout, tokenizer.LineOptions{BOS: c.BOS, EOS: c.EOS, Whole: c.Whole})
}

type tokDecodeCmd struct{ modelFlag }

func (c *tokDecodeCmd) Run() error {
	t, err := tokenizer.Open(c.Model)
	if err != nil {
		return err
	}
	return tokenizer.DecodeLines(t, os.Stdin, os.Stdout)
}

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
	fmt.Print(r)
	return nil
}

type tokTrainCmd struct {
	Input     []string `help:"Text files; globs are expanded." required:"" placeholder:"GLOB"`
	VocabSize int      `help:"Pieces to learn." required:"" placeholder:"N"`
	Model     string   `help:"File to write." required:"" type:"path" placeholder:"OUT.model"`
	Coverage  float64  `help:"Share of all characters that get a piece of their own." default:"0.99995"`
}

func (c *tokTrainCmd) Run() error {
	var files []string
	for _, g := range c.Input {
		m, err := filepath.Glob(g)
		if err != nil {
			return usagef("--input=%s: %v", g, err)
		}
		if len(m) == 0 {
			return usagef("--input=%s: no such file", g)
		}
		files = append(files, m...)
	}
	opt := tokenizer.LlamaOptions(c.VocabSize)
	opt.CharacterCoverage = c.Coverage
	l := &progressLine{}
	opt.Progress = l.learning
	ctx, stop := interruptible()
	defer stop()
	t, report, err := tokenizer.TrainReported(ctx, tokenizer.Files(files...), opt)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := tokenizer.WriteModel(&b, t); err != nil {
		return err
	}
	if err := gobuild.WriteFile(c.Model, b.Bytes()); err != nil {
		return err
	}
	if report.DroppedWords > 0 {
		fmt.Fprintf(os.Stderr, "%d rare words were left out for lack of memory\n", report.DroppedWords)
	}
	fmt.Printf("%s: %d pieces\n", c.Model, t.Vocab())
	return nil
}
