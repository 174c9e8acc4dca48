package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/llamac/llamac/data"
	"github.com/llamac/llamac/data/prepare"
	"github.com/llamac/llamac/internal/corpus"
	"github.com/llamac/llamac/internal/gobuild"
	"github.com/llamac/llamac/specs"
	"github.com/llamac/llamac/tokenizer"
)

// dataCmd works on the data of a spec.
// Preparing is resumable and safe to do from several processes at once; see
// package prepare.
type dataCmd struct {
	Prepare dataPrepareCmd `cmd:"" help:"Tokenise a spec's sources to a data set, in parallel; an interrupted run goes on."`
	Stats   dataStatsCmd   `cmd:"" help:"Show what a spec's data set holds, source by source."`
	Sample  dataSampleCmd  `cmd:"" help:"Show packed training sequences as text."`
}

// corpusOptions are those of every command, with progress on standard error.
// Data sets and vocabularies share the cache with built programs.
func corpusOptions(show bool) (corpus.Options, error) {
	cache, err := gobuild.CacheDir()
	if err != nil {
		return corpus.Options{}, err
	}
	// Once each: files are listed for the vocabulary and for the set.
	told := map[string]bool{}
	note := func(what string) {
		if !told[what] {
			told[what] = true
			clearLine()
			fmt.Fprintln(os.Stderr, what)
		}
	}
	o := corpus.Options{Cache: cache, OnNote: note, Learned: func(opt tokenizer.TrainOptions, r *tokenizer.TrainReport) {
		for _, n := range learningNotes(opt, r) {
			note("vocabulary: " + n)
		}
	}}
	if show {
		// One line for both: a spec's vocabulary is learned before its text is
		// tokenised.
		l := &progressLine{}
		o.Learning = func(p tokenizer.Progress) { l.learning(p) }
		o.Reading = func(p prepare.Progress) { l.reading(p) }
	}
	return o, nil
}

// prepareData makes the data set of a spec or finds it in the cache.
// It may take minutes the first time, and is a look into a folder after that.
func prepareData(s *specs.Spec, o corpus.Options) (dir, tokenizerFile string, err error) {
	// Finished units stay, so an interrupt loses little.
	ctx, stop := interruptible()
	defer stop()
	if o.Reading != nil {
		// Whether there is anything to do takes a look at all files, which for a
		// large corpus are read to know their contents.
		end := sync.OnceFunc(working("looking at the data's files", quickly(5*time.Second)))
		defer end()
		learning, reading := o.Learning, o.Reading
		o.Learning = func(p tokenizer.Progress) { end(); learning(p) }
		o.Reading = func(p prepare.Progress) { end(); reading(p) }
	}
	dir, tokenizerFile, err = corpus.Prepare(ctx, s, o)
	// The line has served; what follows is the result.
	if o.Reading != nil {
		clearLine()
	}
	if err == nil {
		gobuild.Use(dir)
		if tokenizerFile != "" {
			gobuild.Use(tokenizerFile)
		}
	}
	// Whatever failed then failed because it was told to stop.
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return dir, tokenizerFile, err
}

// dataPrepareCmd prepares a data set by itself, where train would do it on the
// way: on another machine, or in many jobs.
type dataPrepareCmd struct {
	specFlags
	Out     string `short:"o" help:"Folder of the data set; one in the cache by default." type:"path" placeholder:"DIR"`
	Shard   string `help:"Do part I of N of the work, counted from 0, for an array of jobs on one folder." placeholder:"I/N"`
	SkipBad bool   `help:"Count broken documents and files instead of failing."`
	JSON    bool   `help:"Print the folder and the tokenizer's file as JSON." name:"json"`
}

func (c *dataPrepareCmd) Run() error {
	s, err := c.load()
	if err != nil {
		return err
	}
	o, err := corpusOptions(!c.JSON)
	if err != nil {
		return err
	}
	o.OutDir, o.SkipBad = c.Out, c.SkipBad
	// For --json, which prints no lines on the way.
	skipped := 0
	// Said one by one: a thousand broken lines are a broken file.
	o.OnSkip = func(err error) {
		skipped++
		fmt.Fprintln(os.Stderr, "skipped:", err)
	}
	// I of N as arrays of jobs number them, from 0.
	if c.Shard != "" {
		i, n, ok := strings.Cut(c.Shard, "/")
		a, err1 := strconv.Atoi(i)
		b, err2 := strconv.Atoi(n)
		if !ok || err1 != nil || err2 != nil || a < 0 || a >= b {
			return usagef("--shard=%s: want I/N with I from 0 to N-1", c.Shard)
		}
		o.Shard = prepare.Shard{Index: a, Count: b}
	}
	dir, tok, err := prepareData(s, o)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(map[string]any{"dir": dir, "tokenizer": tok, "skipped": skipped})
	}
	// The folder alone, for scripts.
	fmt.Fprintln(stdout, dir)
	return nil
}

// openStream prepares a spec's data and opens its stream.
// The set may be large: only its headers are read.
func openStream(s *specs.Spec) (*data.Set, *data.Stream, tokenizer.Tokenizer, error) {
	o, err := corpusOptions(true)
	if err != nil {
		return nil, nil, nil, err
	}
	dir, _, err := prepareData(s, o)
	if err != nil {
		return nil, nil, nil, err
	}
	// Known by now: preparing has learned or opened it.
	tok, _, err := corpus.Tokenizer(context.Background(), s, o)
	if err != nil {
		return nil, nil, nil, err
	}
	// Sizes, headers and the tokenizer are checked here, the contents are not.
	set, err := data.Open(dir)
	if err != nil {
		return nil, nil, nil, err
	}
	// As the run will open it: the same context and seed give the same
	// sequences.
	st, err := set.Stream(data.StreamConfig{Context: s.Model.Context, Seed: s.Train.Seed})
	if err != nil {
		set.Close()
		return nil, nil, nil, err
	}
	return set, st, tok, nil
}

// dataStatsCmd holds what a set has against what the spec's run will read of
// it.
type dataStatsCmd struct {
	specFlags
	JSON bool `help:"Print the figures as JSON." name:"json"`
}

func (c *dataStatsCmd) Run() error {
	s, err := c.load()
	if err != nil {
		return err
	}
	set, st, _, err := openStream(s)
	if err != nil {
		return err
	}
	defer set.Close()
	// In sequences.
	steps := int64(s.Train.Steps) * int64(s.Train.Accum) * int64(s.Train.MicroBatch)
	stats := st.Stats(steps)
	if c.JSON {
		return printJSON(stats)
	}
	// Columns: wide enough for the table, narrow enough for most windows.
	return data.WriteStats(stdout, stats, 100)
}

// dataSampleCmd shows what the model will see, packed as it will see it:
// mistakes in data are found by reading.
type dataSampleCmd struct {
	specFlags
	First int64 `help:"Number of the first sequence." default:"0"`
	N     int   `short:"n" help:"Sequences to show." default:"2"`
}

func (c *dataSampleCmd) Run() error {
	switch {
	case c.N < 1:
		return usagef("-n=%d: want at least one sequence", c.N)
	case c.First < 0:
		return usagef("--first=%d: sequences are numbered from 0", c.First)
	case c.First > math.MaxInt64-int64(c.N):
		return usagef("--first=%d: sequences are numbered up to %d, and %d from there on are too many", c.First, math.MaxInt64-1, c.N)
	}
	s, err := c.load()
	if err != nil {
		return err
	}
	// The tokenizer that made the ids, to turn them back.
	set, st, tok, err := openStream(s)
	if err != nil {
		return err
	}
	defer set.Close()
	return st.WriteSample(stdout, c.First, c.N, tok.Decode)
}

// bar draws a share; the total may not be known yet.
func bar(done, total int64) string {
	const width = 24
	if total <= 0 {
		return strings.Repeat(" ", width)
	}
	// done may pass total where a file grew meanwhile.
	n := int(min(width, done*width/total))
	return strings.Repeat("=", n) + strings.Repeat(" ", width-n)
}

// learning tells how far the vocabulary is, with the piece that was found last.
func (l *progressLine) learning(p tokenizer.Progress) {
	// The last and longest phase, and the only one whose end is known.
	if p.Phase == "merge" {
		l.begun("learning the vocabulary", "learning the vocabulary [%s] piece %d of %d: %q", bar(p.Done, p.Total), p.Done, p.Total, p.Piece)
		return
	}
	l.begun("reading text for the vocabulary", "reading text for the vocabulary: %.0f MB", float64(p.Done)/1e6)
}

// reading tells how far the text is.
func (l *progressLine) reading(p prepare.Progress) {
	l.begun("preparing data", "preparing data [%s] %d documents, %.1f M tokens", bar(p.Bytes, p.BytesTotal), p.Docs, float64(p.Tokens)/1e6)
}
