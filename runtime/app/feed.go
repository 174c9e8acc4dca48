package app

import (
	"errors"
	"fmt"

	"github.com/llamac/llamac/data"
	"github.com/llamac/llamac/runtime/model"
)

// feed is a prepared data set as training reads it. Training sequences are
// numbered from 0 without end, held-out ones up to ValidationLen; each is a
// pure function of its number.
//
// Tests put texts of their own behind it.
type feed interface {
	// Batches reads rows sequences at a time from number first on.
	Batches(first int64, rows int) batches
	// Validation writes held-out sequence i, Context+1 tokens and -1 where
	// none are left, and returns the bytes of text its targets stand for.
	Validation(i int, dst []int32) (bytes int, err error)
	// ValidationStarts writes where the documents of held-out sequence i begin,
	// Context numbers as in model.Batch.
	ValidationStarts(i int, dst []int32) error
	ValidationLen() int
	Warnings(sequences int64) []string // what is odd about a run of so many
	Identity() string                  // hash of everything that decides the sequences
	Tokenizer() string                 // hash of the tokenizer that made the tokens
	Describe() string                  // one line for a person
	Close() error
}

// batches gives micro-batches of rows sequences, with Starts if the settings say
// that the model reads them. They are valid until the call after the next.
type batches interface {
	Next() (model.Batch, error)
	Close()
}

// dataFeed is package data behind the interface.
type dataFeed struct {
	set    *data.Set
	stream *data.Stream
	masked bool    // batches carry Starts
	starts []int32 // scratch
}

// openData opens the folder that llamac data prepare wrote.
func openData(dir string, s settings) (feed, error) {
	set, err := data.Open(dir)
	if err != nil {
		return nil, err
	}
	// Whether attention stops at documents is the program's: a set is the same
	// either way, and may be shared by programs of both kinds.
	st, err := set.Stream(data.StreamConfig{Context: s.context, Seed: s.seed})
	if err != nil {
		set.Close()
		return nil, err
	}
	return &dataFeed{set: set, stream: st, masked: s.masked}, nil
}

// Batches reads ahead in a goroutine of package data, so that a page of a shard
// that is not in memory yet does not hold up a step.
func (d *dataFeed) Batches(first int64, rows int) batches {
	return &dataBatches{data.NewPrefetcher(d.stream, data.PrefetchConfig{First: first, Rows: rows, Starts: d.masked})}
}

func (d *dataFeed) Validation(i int, dst []int32) (n int, err error) {
	defer damage(&err)
	return d.stream.Validation(i, dst), nil
}

func (d *dataFeed) ValidationStarts(i int, dst []int32) (err error) {
	// Documents come as a list of beginnings and leave as one number for each
	// token.
	defer damage(&err)
	d.starts = d.stream.ValidationStarts(i, d.starts[:0])
	data.Spread(d.starts, dst)
	return nil
}

func (d *dataFeed) ValidationLen() int { return d.stream.ValidationLen() }
func (d *dataFeed) Identity() string   { return d.stream.Identity() }
func (d *dataFeed) Tokenizer() string  { return d.set.Manifest.Tokenizer.Hash }
func (d *dataFeed) Close() error       { return d.set.Close() }

// Describe counts tokens, not bytes: they are what a recipe is measured in.
func (d *dataFeed) Describe() string {
	var train, held data.Counts
	for _, s := range d.set.Sources {
		train.Add(s.Train)
		held.Add(s.HeldOut)
	}
	// Which text is held out differs with the number of documents.
	how := ""
	for _, s := range d.set.Sources {
		switch {
		case s.HeldOut.Tokens == 0:
		case s.Split == "position":
			how = " at the end of documents"
		case how == "":
			how = " as whole documents"
		}
	}
	return fmt.Sprintf("%s tokens of %s documents in %s, %s tokens held out%s",
		count(train.Tokens), count(train.Docs), plural(len(d.set.Sources), "source"), count(held.Tokens), how)
}

func (d *dataFeed) Warnings(sequences int64) []string { return d.stream.Warnings(sequences) }

// plural prints a count with its noun.
func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

type dataBatches struct{ p *data.Prefetcher }

func (b *dataBatches) Next() (in model.Batch, err error) {
	defer damage(&err)
	next := b.p.Next()
	return model.Batch{Tokens: next.Tokens, Targets: next.Targets, Starts: next.Starts}, nil
}

func (b *dataBatches) Close() { b.p.Close() }

// damage turns the panic with which package data reports a damaged shard into
// an error.
//
// Reading shards is reading mapped memory, so a damaged one is found in the
// middle of a copy, where there is nobody to return an error to. Other panics
// are bugs and go on.
func damage(err *error) {
	if p := recover(); p != nil {
		e, ok := p.(error)
		if d := (*data.Error)(nil); !ok || !errors.As(e, &d) {
			panic(p)
		}
		*err = e
	}
}
