package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/llamac/llamac/data"
	"github.com/llamac/llamac/data/prepare"
	"github.com/llamac/llamac/internal/corpus"
	"github.com/llamac/llamac/internal/gobuild"
	"github.com/llamac/llamac/specs"
	"github.com/llamac/llamac/tokenizer"
)

<<<<<<< HEAD
// dataCmd works on the data of a spec.
type dataCmd struct {
	Prepare dataPrepareCmd `cmd:"" help:"Tokenise a spec's sources to a data set, in parallel; an interrupted run goes on."`
	Stats   dataStatsCmd   `cmd:"" help:"Show what a spec's data set holds, source by source."`
	Sample  dataSampleCmd  `cmd:"" help:"Show packed training sequences as text."`
=======
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
>>>>>>> e2e
}

// corpusOptions are those of every command, with progress on standard error.
func corpusOptions(show bool) (corpus.Options, error) {
	cache, err := gobuild.CacheDir()
	if err != nil {
		return corpus.Options{}, err
	}
	o := corpus.Options{Cache: cache}
	if show {
		l := &progressLine{}
		o.Learning = func(p tokenizer.Progress) { l.learning(p) }
		o.Reading = func(p prepare.Progress) { l.reading(p) }
	}
<<<<<<< HEAD
	return o, nil
}

// prepareData makes the data set of a spec or finds it in the cache.
func prepareData(s *specs.Spec, o corpus.Options) (dir, tokenizerFile string, err error) {
	ctx, stop := interruptible()
	defer stop()
	dir, tokenizerFile, err = corpus.Prepare(ctx, s, o)
	if o.Reading != nil {
		fmt.Fprint(os.Stderr, "\r\x1b[K")
	}
	if err != nil && ctx.Err() != nil {
		err = errInterrupted
	}
	return dir, tokenizerFile, err
}

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
	skipped := 0
	o.OnSkip = func(err error) {
		skipped++
		fmt.Fprintln(os.Stderr, "skipped:", err)
	}
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
	fmt.Println(dir)
	return nil
}

// openStream prepares a spec's data and opens its stream.
func openStream(s *specs.Spec) (*data.Set, *data.Stream, tokenizer.Tokenizer, error) {
	o, err := corpusOptions(true)
	if err != nil {
		return nil, nil, nil, err
	}
	dir, _, err := prepareData(s, o)
	if err != nil {
		return nil, nil, nil, err
	}
	tok, _, err := corpus.Tokenizer(context.Background(), s, o)
	if err != nil {
		return nil, nil, nil, err
	}
	set, err := data.Open(dir)
	if err != nil {
		return nil, nil, nil, err
	}
	st, err := set.Stream(data.StreamConfig{Context: s.Model.Context, Seed: s.Train.Seed})
	if err != nil {
		set.Close()
		return nil, nil, nil, err
	}
	return set, st, tok, nil
}

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
	steps := int64(s.Train.Steps) * int64(s.Train.Accum) * int64(s.Train.MicroBatch)
	stats := st.Stats(steps)
	if c.JSON {
		return printJSON(stats)
	}
	return data.WriteStats(os.Stdout, stats, 100)
}

type dataSampleCmd struct {
	specFlags
	First int64 `help:"Number of the first sequence." default:"0"`
	N     int   `short:"n" help:"Sequences to show." default:"2"`
}

func (c *dataSampleCmd) Run() error {
	s, err := c.load()
	if err != nil {
		return err
	}
	set, st, tok, err := openStream(s)
	if err != nil {
		return err
	}
	defer set.Close()
	return st.WriteSample(os.Stdout, c.First, c.N, tok.Decode)
}

// progressLine shows preparation on one line of a terminal, and nothing where
// standard error is none.
type progressLine struct{ last time.Time }

func (l *progressLine) show(format string, args ...any) {
	if fi, err := os.Stderr.Stat(); err != nil || fi.Mode()&os.ModeCharDevice == 0 {
		return
	}
	if now := time.Now(); now.Sub(l.last) > 100*time.Millisecond {
		l.last = now
		fmt.Fprintf(os.Stderr, "\r\x1b[K"+format, args...)
	}
}

func bar(done, total int64) string {
	const width = 24
	if total <= 0 {
		return strings.Repeat(" ", width)
	}
	n := int(min(width, done*width/total))
	return strings.Repeat("=", n) + strings.Repeat(" ", width-n)
}

func (l *progressLine) learning(p tokenizer.Progress) {
	if p.Phase == "merge" {
		l.show("learning the vocabulary [%s] piece %d of %d: %q", bar(p.Done, p.Total), p.Done, p.Total, p.Piece)
		return
	}
	l.show("reading text for the vocabulary: %.0f MB", float64(p.Done)/1e6)
}

func (l *progressLine) reading(p prepare.Progress) {
	l.show("preparing data [%s] %d documents, %.1f M tokens", bar(p.Bytes, p.BytesTotal), p.Docs, float64(p.Tokens)/1e6)
=======
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
>>>>>>> e2e
}
