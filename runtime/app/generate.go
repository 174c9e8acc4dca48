package app

import (
	"fmt"
	"io"
	"math"
	"path/filepath"
	"strings"
	"time"

	"github.com/llamac/llamac/runtime/model"
	"github.com/llamac/llamac/runtime/rng"
	"github.com/llamac/llamac/runtime/sample"
	"github.com/llamac/llamac/tokenizer"
	"github.com/llamac/llamac/weights"
)

// generateFlags are the arguments of generate.
// What to write with, what to begin with, and how to choose.
type generateFlags struct {
	run, weights, tokenizer, prompt, promptFile string
	spec                                        string // the specification's tokenizer file
	accept                                      bool   // --accept-tokenizer
	stats                                       bool   // --stats
	n, workers                                  int
	sample.Config
}

// generateFlags reads the arguments; what is not given is the recipe's, as in
// the samples of training.
func (e *env) generateFlags(args []string) (generateFlags, error) {
	var f generateFlags
	r := e.info.Recipe
	fs := e.flags("generate")
	fs.StringVar(&f.run, "run", filepath.Join("runs", e.info.Name), "folder of a training run: its newest checkpoint and tokenizer")
	fs.StringVar(&f.weights, "weights", "", "weights to use instead of a run's: a file (safetensors, GGUF, PyTorch, llama2.c, a checkpoint) or a folder of Hugging Face's, Meta's or a run's")
	fs.StringVar(&f.tokenizer, "tokenizer", "", "tokenizer file, where the weights have none inside or beside them")
	fs.StringVar(&f.spec, "spec-tokenizer", "", "tokenizer file of the spec, which llamac passes on: used where neither the weights nor --tokenizer bring one")
	fs.BoolVar(&f.accept, "accept-tokenizer", false, "use --tokenizer, or the spec's, although the weights belong to another one, or although files contradict it on where texts begin and end")
	fs.StringVar(&f.prompt, "prompt", "", "text to go on from; - reads standard input")
	fs.StringVar(&f.promptFile, "prompt-file", "", "file with the text to go on from, all its bytes; - reads standard input")
	fs.IntVar(&f.n, "n", 256, "new tokens at most")
	fs.Float64Var(&f.Temperature, "temperature", r.Temperature, "0 takes the most probable token each time")
	fs.Float64Var(&f.TopP, "top-p", r.TopP, "draw from the fewest tokens that have this probability together; 1 for all")
	fs.IntVar(&f.TopK, "top-k", 0, "draw from so many most probable tokens, 0 for all")
	fs.Uint64Var(&f.Seed, "seed", 0, "seed of the draws; another one each time without it")
	fs.BoolVar(&f.stats, "stats", false, "print notes, speeds and the seed on standard error, as a terminal has them; elsewhere only warnings are there")
	fs.IntVar(&f.workers, "workers", 0, "goroutines of the kernels, 0 for one a processor; results do not depend on it")
	if err := e.parse(fs, args); err != nil {
		return f, err
	}
	on := given(fs)
	// By the clock: who asks twice wants two texts.
	if !on["seed"] {
		f.Seed, _ = rng.New(uint64(e.now().UnixNano()), 0).Bits(0)
		f.Seed %= 1e6 // short enough to type again
	}
	// Everything is judged before a weight is read, which for a large model
	// takes minutes.
	switch {
	case on["run"] && on["weights"]:
		return f, usagef("--weights: give either a run or a weight file")
	case on["prompt"] && on["prompt-file"]:
		return f, usagef("--prompt-file=%s: give either a prompt or a file with one", f.promptFile)
	case on["prompt-file"] && f.promptFile == "":
		return f, usagef("--prompt-file=: names no file")
	case f.n < 0:
		return f, usagef("--n=%d: must not be negative", f.n)
	case f.Temperature < 0 || math.IsNaN(f.Temperature) || math.IsInf(f.Temperature, 0):
		return f, usagef("--temperature=%v: must be 0 or more", f.Temperature)
	// 0 would be the share of no token at all; greedy is temperature 0.
	case !(f.TopP > 0 && f.TopP <= 1):
		return f, usagef("--top-p=%v: must be greater than 0 and at most 1", f.TopP)
	case f.TopK < 0:
		return f, usagef("--top-k=%d: must not be negative", f.TopK)
	case f.workers < 0:
		return f, usagef("--workers=%d: must not be negative", f.workers)
	}
	f.workers = e.capWorkers(f.workers)
	return f, e.readPrompt(&f, on["prompt"])
}

// generate writes text to standard output as it comes, the prompt first, and
// nothing else there.
func (e *env) generate(args []string) error {
	f, err := e.generateFlags(args)
	if err != nil {
		return err
	}
	// A package may hold training alone.
	if e.info.NewDecoder == nil {
		return fmt.Errorf("%s was compiled without inference (--mode infer)", e.info.Name)
	}
	if err := e.checkMemory("write text", e.decodeNeeds(), ""); err != nil {
		return err
	}
	// A run's own, so that the ids mean what they meant when it was trained.
	aloud := f.stats || terminal(e.stderr)
	note := e.remarks(aloud)
	v, err := e.generateTokenizer(f, note)
	if err != nil {
		return err
	}
	tok := v.tok
	// Before the model is made: a prompt that is too long needs none.
	prompt, hidden := promptIDs(tok, e.info.Recipe.BOS, f.prompt)
	aboutPrompt(tok, f.prompt, e.info.Recipe.BOS, note)
	if len(prompt) > e.info.Context {
		return usagef("--prompt: has %d tokens, the model's context is %d", len(prompt), e.info.Context)
	}
	dec, err := e.info.NewDecoder(model.Options{Workers: f.workers})
	if err != nil {
		return err
	}
	g := newGenerator(&e.info, dec, 1)
	g.ids, g.ending = min(g.ids, tok.Vocab()), v.ends
	defer g.close()
	if err := e.loadFor(f, dec.Params(), note); err != nil {
		return err
	}
	// What was written so far stays, whatever happens.
	wrote, err := g.stream(e.stdout, tok, prompt, hidden, f, e.now)
	if err != nil {
		return err
	}
	// A pipe gets the text's bytes and no more.
	if terminal(e.stdout) {
		fmt.Fprintln(e.stdout)
	}
	if wrote.full {
		fmt.Fprintf(e.stderr, "warning: the model's context of %d tokens is full: %d of %d tokens were written\n", e.info.Context, wrote.tokens, f.n)
	}
	if aloud && f.n > 0 {
		fmt.Fprintln(e.stderr, wrote)
	}
	// Without chance there is no seed to tell.
	if aloud && f.Temperature > 0 {
		fmt.Fprintf(e.stderr, "(--seed %d writes this again)\n", f.Seed)
	}
	return nil
}

// generateTokenizer decides on the tokenizer.
func (e *env) generateTokenizer(f generateFlags, note func(string)) (*vocabulary, error) {
	c := choice{flag: "--weights", weights: f.weights, named: f.tokenizer, spec: f.spec, accept: f.accept}
	own, err := e.ownTokenizer(f)
	if err != nil {
		return nil, err
	}
	// A run was trained as its spec says, whatever lies at the spec's path by now.
	if f.weights == "" {
		c.flag, c.weights, c.spec = "--run", f.run, ""
	}
	v, err := e.choose(c, own, note)
	if err != nil {
		return nil, err
	}
	// Published weights have whatever lies in or beside them; what a run keeps is
	// no news.
	if f.tokenizer == "" && own.Tokenizer == v.tok && own.Hash == "" {
		note("tokenizer: " + v.from)
	}
	// A run has begun its texts as its spec says.
	if own.Hash == "" {
		return v, e.beginsAlike(c, v, note)
	}
	return v, nil
}

// ownTokenizer is the one that the weights, or the run, bring along.
func (e *env) ownTokenizer(f generateFlags) (*weights.Own, error) {
	if f.weights != "" {
		return weights.OwnTokenizer(f.weights)
	}
	list, err := weights.Checkpoints(f.run)
	if err != nil {
		return nil, err
	}
	// The call names a folder without weights, so this is status 2.
	if len(list) == 0 {
		return nil, usagef("%s: holds no checkpoint; train first, or name a run with --run or a weight file with --weights", f.run)
	}
	// A copy that was exchanged by hand does not matter to who names another.
	if f.tokenizer != "" {
		return weights.OwnTokenizer(f.run)
	}
	return (&runDir{path: f.run}).runTokenizer()
}

// loadFor fills the weights from a file or from a run's newest checkpoint.
// Of a damaged checkpoint the one before is taken, as when going on with a run.
func (e *env) loadFor(f generateFlags, params []float32, note func(string)) error {
	// Of any format that package weights knows.
	if f.weights != "" {
		return e.load(f.weights, params, note)
	}
	d := &runDir{path: f.run}
	// Only the weights are read: moments are of no use here, and nil leaves
	// them out.
	_, found, err := d.newest(
		func(path string) (weights.Checkpoint, error) {
			return weights.ReadCheckpoint(path, e.info, params, nil, nil)
		},
		func(damaged error) { note(fmt.Sprintf("warning: %v; trying the one before", damaged)) })
	// They were there when the tokenizer was looked for.
	if err == nil && !found {
		return fmt.Errorf("%s: the checkpoint has gone", f.run)
	}
	return err
}

// remarks prints what a person should know of files. Warnings are printed in any
// case. The rest is for who looks on: what compares standard error, or keeps it,
// is to find there only what may be wrong.
func (e *env) remarks(aloud bool) func(string) {
	return func(msg string) {
		if aloud || strings.HasPrefix(msg, weights.Doubt) {
			fmt.Fprintln(e.stderr, msg)
		}
	}
}

// load fills the weights from a file or folder of any format, of a run's folder
// from its newest checkpoint.
func (e *env) load(path string, params []float32, note func(string)) error {
	list, err := weights.Checkpoints(path)
	if err != nil || len(list) == 0 {
		return weights.LoadNoting(e.info, path, params, note)
	}
	_, err = weights.LoadRun(e.info, path, params, note)
	return err
}

// written is what stream did.
type written struct {
	prompt, tokens int           // ids of the prompt, and new ones that were shown
	read, wrote    time.Duration // what the prompt took, and the tokens
	full           bool          // the context ended before the text did
}

// String gives the speed of reading the prompt and of writing, which differ:
// a prompt's tokens are read side by side.
func (w written) String() string {
	return fmt.Sprintf("prompt: %s in %.2f s, %.1f a second; text: %s in %.2f s, %.1f a second",
		plural(w.prompt, "token"), w.read.Seconds(), perSecond(w.prompt, w.read), plural(w.tokens, "token"), w.wrote.Seconds(), perSecond(w.tokens, w.wrote))
}

// perSecond is finite even where a clock has not moved.
func perSecond(n int, d time.Duration) float64 { return float64(n) / max(d.Seconds(), 1e-6) }

// stream writes one text token by token, and tells what it did.
func (g *generator) stream(w io.Writer, tok tokenizer.Tokenizer, prompt []int32, hidden int, f generateFlags, now func() time.Time) (did written, err error) {
	// Half a character waits for its other half.
	out := tokenizer.NewStream(tok)
	show := func(id int32) error {
		if t := out.Next(id); len(t) > 0 {
			_, err := w.Write(t)
			return err
		}
		return nil
	}
	did.prompt = len(prompt)
	for _, id := range prompt[hidden:] {
		if err := show(id); err != nil {
			return did, err
		}
	}
	// Only the prompt, as it reads after being encoded.
	if f.n == 0 {
		_, err := w.Write(out.Flush())
		return did, err
	}
	// Sequence 0 alone is used.
	g.dec.Reset(0)
	began := now()
	if err := g.start(0, prompt); err != nil {
		return did, err
	}
	read := now()
	did.read = read.Sub(began)
	choose := sample.New(g.info.Vocab, f.Config)
	for {
		// The draw depends on seed and position, so a text is the same however
		// it was cut into steps.
		length := len(prompt) + did.tokens
		id, err := choose.Next(g.row(0), length)
		if err != nil {
			return did, fmt.Errorf("token %d of the text: %w", length, err)
		}
		if g.ends(tok, id) {
			break
		}
		if err := show(id); err != nil {
			return did, err
		}
		// The last token need not be fed to the model.
		if did.tokens++; did.tokens == f.n {
			break
		}
		if length+1 > g.info.Context {
			did.full = true
			break
		}
		// Each new token is a prompt of one, behind what the cache holds.
		g.tokens = append(g.tokens[:0], id)
		if err := g.start(0, g.tokens); err != nil {
			return did, err
		}
	}
	did.wrote = now().Sub(read)
	_, err = w.Write(out.Flush())
	return did, err
}
