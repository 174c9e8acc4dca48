// Package prepare turns files of text into the token shards that package data
// reads.
//
//	dir, err := prepare.Run(ctx, prepare.Config{
//		Sources:   []prepare.Source{{Name: "go", Share: 1, Kind: "go_source"}},
//		Tokenizer: tok,
//		OutDir:    "corpus",
//	}, nil)
//
// The work is cut into units: some input files of one source, always the same
// ones for the same input (plan.go). A unit is read, tokenized and written to a
// shard of its own, which appears whole or not at all, and knows nothing of the
// other units; so units can be done by any number of workers, by the jobs of an
// array, or by a run that was interrupted and its successor, and come out as
// the same bytes. When all are there, one short pass over their tables of
// documents drops duplicates and what lies beyond a limit (finish.go), and the
// manifest, written last, makes the folder a set.
package prepare

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/llamac/llamac/data"
)

// Tokenizer is what preparing needs of a tokenizer. Encode must be safe for
// use by several goroutines.
type Tokenizer interface {
	Vocab() int
	BOS() int32
	EOS() int32
	Encode(dst []int32, text []byte) []int32 // appends to dst; adds no BOS or EOS
	Decode(dst []byte, ids []int32) []byte   // appends to dst
	Hash() string                            // of everything that decides the ids; at most 64 bytes
}

// Source is one component of the mixture. It has the fields of specs.Source,
// so that one converts into the other; the package does not import specs
// because training programs link it.
type Source struct {
	Name     string
	Share    float64
	Kind     string   // "files", "jsonl", "wet", "go_source", "go_docs"
	Paths    []string // globs with ** and folders; "$GOROOT" is expanded
	Exclude  []string // globs over names, or over base names when without a slash
	Field    string   // jsonl: the field with the text, dots for nested objects
	MaxBytes int64    // keep no document that begins after this many bytes of text; 0 for all
	Epochs   float64  // what the spec expects, for reports
	Dedup    bool     // drop documents equal to an earlier one of this source
}

// Config is one preparation.
type Config struct {
	Sources    []Source
	Tokenizer  Tokenizer
	AddBOS     bool    // BOS before each document
	AddEOS     bool    // EOS after each document
	Specials   bool    // the Tokenizer turns control tokens that text spells out into their ids
	Validation float64 // share of documents held out whole, by hash of their name
	Dedup      bool    // drop documents equal to an earlier one of any source

	Base     string // folder that relative Paths start from; "" for the current one
	GOROOT   string // "" asks the go command
	OutDir   string // the set's folder; "" for a folder of CacheDir named by Key
	CacheDir string
	HashDir  string // remembers hashes of input files between runs; "" reads them each time

	Shard       Shard // which part of the work; the zero value is all of it
	Workers     int   // goroutines that tokenize; 0 for one a core
	SkipBad     bool  // count broken documents instead of failing
	OnSkip      func(error)
	OnNote      func(string) // told what a user should know of the input; may be nil
	OnFolder    func(string) // told the set's folder before anything is in it; may be nil
	DedupMemory int64        // bytes for the table of hashes; 0 for 256 MiB

	unitBytes int64                               // tests: input of a unit
	create    func(path string) (tempFile, error) // tests: a disk that fails
	now       func() time.Time                    // tests: another clock
}

// Shard is job Index of Count that share the work, both counted from 0.
type Shard struct{ Index, Count int }

// Run prepares a set and returns its folder. A set that is already there is
// returned at once if it was made from the same input; one whose preparation
// was interrupted is completed. progress may be nil.
//
// A job of an array returns when its own units are done. The last one also
// finishes the set, if all write to the same folder; otherwise copy what the
// folders hold into one and run once more without Shard.
//
// Bad input is an *InputError. After any error the folder holds whole units
// only and Run may be called again.
func Run(ctx context.Context, cfg Config, progress func(Progress)) (dir string, err error) {
	if err := cfg.check(); err != nil {
		return "", err
	}
	p, err := newPlan(ctx, &cfg)
	if err != nil {
		return "", err
	}
	dir = cfg.OutDir
	if dir == "" {
		dir = filepath.Join(cfg.CacheDir, p.key[:16])
	}
	if cfg.OnFolder != nil {
		cfg.OnFolder(dir)
	}
	r := &runner{cfg: &cfg, plan: p, dir: dir, progress: newTracker(progress)}
	// The common case of a second training: nothing but a look at the manifest
	// and at headers.
	done, err := r.reuse()
	if done || err != nil {
		return dir, err
	}
	return dir, r.run(ctx)
}

// Key returns the hash of everything that decides the contents of the shards:
// the names and contents of the input files, the tokenizer, and the options, but
// not the shares, which only the reader uses.
func Key(cfg Config) (string, error) {
	if err := cfg.check(); err != nil {
		return "", err
	}
	p, err := newPlan(context.Background(), &cfg)
	if err != nil {
		return "", err
	}
	return p.key, nil
}

// check fills in defaults and rejects what no preparation can mean.
func (c *Config) check() error {
	if c.Tokenizer == nil {
		return errors.New("prepare: no tokenizer")
	}
	// Before hours of work for a source that no run would read.
	var names []string
	var shares []float64
	for _, s := range c.Sources {
		names, shares = append(names, s.Name), append(shares, s.Share)
	}
	if err := data.CheckShares(names, shares); len(c.Sources) > 0 && err != nil {
		return err
	}
	if c.OutDir == "" && c.CacheDir == "" {
		return errors.New("prepare: neither OutDir nor CacheDir is set")
	}
	if c.AddBOS && c.Tokenizer.BOS() < 0 {
		return errors.New("prepare: BOS before each document is asked for, but the tokenizer has no BOS")
	}
	if c.AddEOS && c.Tokenizer.EOS() < 0 {
		return errors.New("prepare: EOS after each document is asked for, but the tokenizer has no EOS")
	}
	if c.Shard.Count == 0 {
		c.Shard = Shard{0, 1}
	}
	if c.Shard.Index < 0 || c.Shard.Index >= c.Shard.Count {
		return fmt.Errorf("prepare: shard %d of %d, want 0 to %d", c.Shard.Index, c.Shard.Count, c.Shard.Count-1)
	}
	if c.Workers <= 0 {
		c.Workers = runtime.GOMAXPROCS(0)
	}
	if c.DedupMemory <= 0 {
		c.DedupMemory = 256 << 20
	}
	if c.create == nil {
		c.create = createTemp
	}
	return c.checkInput()
}

// checkInput checks what decides which texts are read.
func (c *Config) checkInput() error {
	if len(c.Sources) == 0 {
		return errors.New("prepare: no sources")
	}
	if !(c.Validation >= 0 && c.Validation < 1) {
		return fmt.Errorf("prepare: validation share is %g, want 0 <= share < 1", c.Validation)
	}
	seen := map[string]bool{}
	for _, s := range c.Sources {
		if err := checkName(s.Name); err != nil {
			return err
		}
		lower := strings.ToLower(s.Name) // file systems may not tell them apart
		if seen[lower] {
			return fmt.Errorf("prepare: two sources are named %q", s.Name)
		}
		seen[lower] = true
		if kinds[s.Kind] == nil {
			return fmt.Errorf("prepare: source %q has kind %q; the kinds are files, jsonl, wet, go_source, go_docs", s.Name, s.Kind)
		}
		if s.Kind == "jsonl" && s.Field == "" {
			return fmt.Errorf("prepare: source %q: a jsonl source names the field with the text", s.Name)
		}
		if s.MaxBytes < 0 {
			return fmt.Errorf("prepare: source %q: max_bytes is %d", s.Name, s.MaxBytes)
		}
	}
	return nil
}

// checkName allows what can be the beginning of a file name anywhere.
func checkName(name string) error {
	if name == "" || len(name) > 64 {
		return fmt.Errorf("prepare: source name %q, want 1 to 64 letters, digits, '-' or '_'", name)
	}
	for _, r := range name {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' {
			return fmt.Errorf("prepare: source name %q holds %q, want letters, digits, '-' or '_'", name, r)
		}
	}
	return nil
}

// reuse looks for a finished set in the folder. It is taken when it was made
// from the same input, with the manifest brought up to date with what only the
// reader uses, and refused when it was made from another.
func (r *runner) reuse() (done bool, err error) {
	m, err := data.ReadManifest(r.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if m.Key != r.plan.key {
		return false, r.another(m)
	}
	path := filepath.Join(r.dir, data.ManifestFile)
	if err := intact(r.dir); err != nil {
		if r.cfg.OutDir != "" {
			return false, fmt.Errorf("the set is damaged, remove it to prepare it again: %w", err)
		}
		// The cache's own is made again.
		r.note(fmt.Sprintf("the set in the cache is damaged and made again: %v", err))
		if err := os.Remove(path); err != nil {
			return false, err
		}
		for s := range shardsOf(m) {
			os.Remove(filepath.Join(r.dir, s))
		}
		return false, nil
	}
	// A run may have been killed between completing the set and tidying up.
	r.tidy(shardsOf(m))
	old, err := m.Encode()
	if err != nil {
		return false, err
	}
	r.describe(m)
	now, err := m.Encode()
	if err != nil || string(now) == string(old) {
		return err == nil, err
	}
	return true, r.writeWhole(path, now)
}

// describe copies what the shards do not depend on into a manifest.
// Changing a share must not cost another pass over a terabyte.
func (r *runner) describe(m *data.Manifest) {
	for i := range m.Sources {
		m.Sources[i].Share = r.cfg.Sources[i].Share
		m.Sources[i].Epochs = r.cfg.Sources[i].Epochs
	}
}

// mostVerified bounds the sets that are read whole before they are used again,
// which takes a fraction of a second. Of larger ones sizes, headers and counts are
// checked; Set.Verify reads them.
const mostVerified = 256 << 20

// intact checks a finished set.
func intact(dir string) error {
	set, err := data.Open(dir)
	if err != nil {
		return err
	}
	defer set.Close()
	var size int64
	for _, s := range set.Manifest.Sources {
		for _, sh := range s.Shards {
			size += sh.Size
		}
	}
	if size > mostVerified {
		return nil
	}
	return set.Verify(nil)
}

// another is the error about a folder that holds another set.
func (r *runner) another(m *data.Manifest) error {
	const way = "remove it or name another folder"
	if old, err := data.ReadInputs(r.dir); err == nil {
		if c := data.CompareInputs(old, r.plan.inputs(r.cfg)); !c.None() {
			return fmt.Errorf("%s: holds a set made from other text: %v; %s", r.dir, c, way)
		}
	}
	return fmt.Errorf("%s: holds a set made with other options or another tokenizer (key %.16s, now %.16s): %s", r.dir, m.Key, r.plan.key, way)
}
