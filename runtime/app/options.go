package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/llamac/llamac/runtime/cpu"
	"github.com/llamac/llamac/tokenizer"
)

// trainFlags are the arguments of train as given.
// They are what was typed; settings are what that means.
type trainFlags struct {
	run, init, data, tokenizer string
	accept                     bool // --accept-tokenizer
	steps, workers             int
	seed                       uint64
	resume, json               bool
	acceptChanges              bool
	skip                       skip     // of --skip-step; the zero value if not given
	args                       []string // as typed
	given                      map[string]bool
}

// trainFlags reads the arguments. Which flags were given matters: on resume,
// those that were not keep what the run began with.
func (e *env) trainFlags(args []string) (trainFlags, error) {
	var f trainFlags
	r := e.info.Recipe
	fs := e.flags("train")
	fs.StringVar(&f.run, "run", filepath.Join("runs", e.info.Name), "folder of the run: metrics, loss curve, samples, checkpoints")
	fs.StringVar(&f.data, "data", "", "prepared data set, a folder that llamac data prepare wrote")
	fs.StringVar(&f.tokenizer, "tokenizer", "", "tokenizer file; without one that of --init, or bytes if the vocabulary is 256")
	fs.BoolVar(&f.accept, "accept-tokenizer", false, "train the weights of --init on with another tokenizer than theirs")
	fs.StringVar(&f.init, "init", "", "start from these weights, a file or folder as of generate --weights (a run's as well), instead of random ones")
	fs.BoolVar(&f.resume, "resume", false, "go on from the newest checkpoint of the run, as if it had never stopped")
	fs.BoolVar(&f.acceptChanges, "accept-changes", false, "with --resume: go on although the recipe or the data changed")
	skipStep := fs.String("skip-step", "", "with --resume: let step `N` pass over a batch, or over so many as N:TIMES says")
	// The default of each flag is the recipe's, so that help shows what would
	// happen.
	fs.IntVar(&f.steps, "steps", r.Steps, "optimiser steps of the whole run")
	fs.IntVar(&f.workers, "workers", 0, "goroutines of the kernels, 0 for one a processor; results do not depend on it")
	fs.Uint64Var(&f.seed, "seed", r.Seed, "seed of weights, data order and samples")
	fs.BoolVar(&f.json, "json", false, "print events as JSON lines")
	if err := e.parse(fs, args); err != nil {
		return f, err
	}
	// Defaults and what was typed look alike in the values.
	f.given, f.args = given(fs), args
	if *skipStep != "" {
		var err error
		if f.skip, err = parseSkip(*skipStep); err != nil {
			return f, err
		}
	}
	switch {
	case !f.resume && f.acceptChanges:
		return f, usagef("--accept-changes: is about a run that goes on; add --resume")
	case !f.resume && f.skip.Step > 0:
		return f, usagef("--skip-step: is about a run that goes on; add --resume")
	case f.steps < 1:
		return f, usagef("--steps=%d: a run takes at least one step", f.steps)
	case f.workers < 0:
		return f, usagef("--workers=%d: must not be negative", f.workers)
	case f.run == "":
		return f, usagef("--run=: the run needs a folder")
	}
	// Counts of tokens are int64s.
	if perStep := float64(r.Accum) * float64(r.MicroBatch) * float64(e.info.Context); float64(f.steps)*perStep > 1<<62 {
		return f, usagef("--steps=%d: is %.3g tokens, more than the %.3g that can be counted", f.steps, float64(f.steps)*perStep, float64(1<<62))
	}
	if perStep := float64(r.Accum) * float64(r.MicroBatch); float64(f.skip.Times)*perStep*float64(e.info.Context) > 1<<60 {
		return f, usagef("--skip-step=%s: %d batches are more text than can be counted", *skipStep, f.skip.Times)
	}
	f.workers = e.capWorkers(f.workers)
	return f, nil
}

// settings are the choices of one run once flags, run.json and the recipe are
// taken together. They are stored as run.json.
//
// They are written when the run begins, and again if the number of steps
// changes. Nothing in them changes from step to step: that is in the
// checkpoints.
type settings struct {
	Format    int    `json:"format,omitempty"` // of this file; 0 before it had a number
	Name      string `json:"name"`
	Spec      string `json:"spec"`
	SpecHash  string `json:"spec_hash"`
	Version   string `json:"version"`
	Steps     int    `json:"steps"`
	Seed      uint64 `json:"seed"`
	Data      string `json:"data"`
	DataHash  string `json:"data_hash,omitempty"`
	Tokenizer string `json:"tokenizer,omitempty"` // file, within the run folder if relative; empty for bytes
	Init      string `json:"init,omitempty"`

	// What the run can be made again from: the evaluated spec that is in force,
	// what it was set to, and how the run was started.
	TokenizerHash string          `json:"tokenizer_hash,omitempty"`
	Go            string          `json:"go,omitempty"`
	ISA           string          `json:"isa,omitempty"` // of the kernels
	Set           []string        `json:"set,omitempty"`
	Args          []string        `json:"args,omitempty"`
	Started       string          `json:"started,omitempty"` // RFC 3339
	SpecJSON      json.RawMessage `json:"spec_json,omitempty"`

	// What a resumed run was told to do otherwise, in the order of its steps.
	Changes []change `json:"changes,omitempty"`
	Skips   []skip   `json:"skips,omitempty"`
	// Checkpoints of steps up to the first stay, since another train.keep kept
	// them; the best is looked for behind the second, since validation losses were
	// of other text before. 0 for neither.
	KeptUntil    int `json:"kept_until,omitempty"`
	MeasuredFrom int `json:"measured_from,omitempty"`

	// What a data set is opened with.
	seed    uint64
	context int
	masked  bool // the model reads where documents begin
}

const (
	settingsFile   = "run.json"
	settingsFormat = 2
)

// goVersion is that of the Go that built the program.
func goVersion() string { return runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH }

// readSettings reads run.json; the bool is false where there is none.
func (d *runDir) readSettings() (settings, bool, error) {
	var s settings
	path := d.join(settingsFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, false, nil
	}
	if err != nil {
		return s, false, err
	}
	err = json.Unmarshal(b, &s)
	if err == nil && s.Format <= settingsFormat && (s.Name == "" || s.Steps < 1) { // as another program's of this name
		err = errors.New("it has no name, or no number of steps")
	}
	if err != nil {
		return s, false, fmt.Errorf("%s: is damaged (%v); move it away, and --resume makes it anew from what the newest checkpoint says", path, err)
	}
	if s.Format > settingsFormat {
		return s, false, fmt.Errorf("%s: has format %d, and this llamac knows %d at most: go on with the llamac that wrote it (%s)", path, s.Format, settingsFormat, s.Version)
	}
	return s, true, nil
}

// writeSettings writes run.json.
func (d *runDir) writeSettings(s settings) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return d.writeBytes(d.join(settingsFile), append(b, '\n'))
}

// settle takes flags and what an earlier part of the run was started with
// together. A resumed run keeps its seed, data and tokenizer.
//
// Paths are made absolute once, seeds may not change, and steps may: see
// restore.
func (e *env) settle(f trainFlags, old settings, resumed bool) (settings, error) {
	s := settings{Name: e.info.Name, Spec: e.info.SpecFile, SpecHash: e.info.SpecHash, Version: e.info.Version,
		Steps: f.steps, Seed: f.seed, Data: f.data, Init: f.init,
		Format: settingsFormat, SpecJSON: rawSpec(e.info.SpecJSON), Set: e.sets(), Go: goVersion(), ISA: cpu.ISA(), Args: f.args, Started: e.now().UTC().Format(time.RFC3339)}
	// Absolute: going on may happen from another folder.
	if s.Data != "" {
		abs, err := filepath.Abs(s.Data)
		if err != nil {
			return s, err
		}
		s.Data = abs
	}
	if resumed {
		if !f.given["steps"] {
			s.Steps = old.Steps
		}
		if s.Data == "" {
			s.Data = old.Data
		}
		if !f.given["init"] {
			s.Init = old.Init
		}
		// Another seed would be another run: data and samples follow from it.
		if f.given["seed"] && f.seed != old.Seed {
			return s, usagef("--seed=%d: the run in %s has seed %d, and going on keeps it", f.seed, f.run, old.Seed)
		}
		// What decides the data's order and the meaning of ids stays what it
		// was.
		s.Seed, s.Tokenizer, s.DataHash, s.TokenizerHash = old.Seed, old.Tokenizer, old.DataHash, old.TokenizerHash
		s.SpecHash, s.SpecJSON, s.Changes, s.Skips = old.SpecHash, old.SpecJSON, old.Changes, old.Skips
		s.KeptUntil, s.MeasuredFrom = old.KeptUntil, old.MeasuredFrom
		if old.Started != "" {
			s.Set, s.Args, s.Started = old.Set, old.Args, old.Started
		}
	}
	if s.Data == "" {
		return s, usagef("--data: train needs a prepared data set (llamac data prepare SPEC writes one)")
	}
	s.seed, s.context, s.masked = s.Seed, e.info.Context, e.info.Masked
	return s, nil
}

// tokenizerName is what a tokenizer's file is called in a run's folder; bytes
// have none.
func tokenizerName(content string) string {
	if content == "" {
		return ""
	}
	// The content tells the format, and the ending is for people.
	return "tokenizer" + tokenizer.Extension([]byte(content))
}

// keepTokenizer writes the tokenizer's file into the run folder, for people and
// other programs.
func (d *runDir) keepTokenizer(content string) error {
	if content == "" {
		return nil
	}
	return d.writeBytes(d.join(tokenizerName(content)), []byte(content))
}

// tokenizerPath is where the tokenizer of a run lies, empty for bytes.
func (d *runDir) tokenizerPath(s settings) string {
	if s.Tokenizer == "" || filepath.IsAbs(s.Tokenizer) {
		return s.Tokenizer
	}
	return d.join(s.Tokenizer)
}
