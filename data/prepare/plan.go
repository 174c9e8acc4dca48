package prepare

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/llamac/llamac/data"
)

// prepareVersion is part of every key: raise it when the same input comes out
// as other documents or other tokens than before.
const prepareVersion = "llamac prepare 4"

// plan is the whole work, the same for every job of an array.
type plan struct {
	key   string
	files [][]inputFile // per source
	units []*unit       // in the order of sources and files
	bytes int64         // of all input files
	split []string      // per source, how text is held out; "" when none is
}

// unit is what is read, written and resumed as a whole: consecutive files of
// one source.
// A unit's name is that of its files: SOURCE-00003.train.tok,
// SOURCE-00003.json.
type unit struct {
	source int // index in Config.Sources
	number int // within the source
	// Jobs of an array take units by it: job i of n does those with index i
	// modulo n.
	index int // within the plan
	name  string
	files []inputFile
	bytes int64
}

// Units are sized so that a source has about a thousand of them at most,
// unless its files are larger still, and small sources still have a few.
const (
	// Bytes of input, as stored. A unit's table of documents is held in memory
	// until it is written, and what a killed run loses is its last unit.
	leastUnit = 32 << 20
	mostUnit  = 4 << 30
	unitsWant = 1024
)

// newPlan lists all input, hashes it and cuts it into units. Files that are known
// are not read again, so that it is quick enough to be done before every
// training.
func newPlan(ctx context.Context, cfg *Config) (*plan, error) {
	p := &plan{}
	// The key covers names and contents, not times and places: a set that was
	// prepared on another machine from the same files is the same set.
	sum := sha256.New()
	fmt.Fprintf(sum, "%s\nvalidation %v dedup %v unit %d\n", prepareVersion, cfg.Validation, cfg.Dedup, cfg.unitBytes)
	// Nil while a vocabulary is still to be learned from the very same texts:
	// see Texts.
	if t := cfg.Tokenizer; t != nil {
		fmt.Fprintf(sum, "tokenizer %q vocab %d bos %d %v eos %d %v specials %v\n", t.Hash(), t.Vocab(), t.BOS(), cfg.AddBOS, t.EOS(), cfg.AddEOS, cfg.Specials)
	}
	for _, s := range cfg.Sources {
		// In the order of names, so that another file system's order changes
		// nothing.
		files, err := list(cfg, s)
		if err != nil {
			return nil, fmt.Errorf("source %q: %w", s.Name, err)
		}
		p.files = append(p.files, files)
	}
	p.shared(cfg)
	if err := hashInputs(ctx, cfg, p.files); err != nil {
		return nil, err
	}
	if err := p.chooseSplits(ctx, cfg); err != nil {
		return nil, err
	}
	for i, s := range cfg.Sources {
		files := p.files[i]
		fmt.Fprintf(sum, "source %q kind %q field %q max %d dedup %v files %d\n", s.Name, s.Kind, s.Field, s.MaxBytes, s.Dedup, len(files))
		for _, f := range files {
			fmt.Fprintf(sum, "%q %d %x\n", f.name, f.size, f.sum)
		}
		// The cut depends on sizes alone, and so is the same for every job.
		p.cut(i, s.Name, files, cfg.unitBytes)
	}
	p.key = fmt.Sprintf("%x", sum.Sum(nil))
	return p, nil
}

// cut groups a source's files into units.
func (p *plan) cut(source int, name string, files []inputFile, size int64) {
	var total int64
	for _, f := range files {
		total += f.size
	}
	// For the progress.
	p.bytes += total
	if size == 0 {
		// Doubled until a thousand units are enough: a crawl gets units of
		// gigabytes.
		for size = leastUnit; size < mostUnit && size*unitsWant < total; size *= 2 {
		}
	}
	number := 0
	for len(files) > 0 {
		// At least one file, however large: a compressed file can only be read
		// from its beginning.
		u := &unit{source: source, number: number, index: len(p.units), name: fmt.Sprintf("%s-%05d", name, number)}
		// Neighbours by name, so that a unit's documents are alike in what they
		// are and compress to similar tables.
		for len(files) > 0 && (len(u.files) == 0 || u.bytes+files[0].size <= size) {
			f := files[0]
			u.files = append(u.files, f)
			u.bytes += f.size
			files = files[1:]
		}
		p.units = append(p.units, u)
		number++
	}
}

// list finds a source's files.
func list(cfg *Config, s Source) ([]inputFile, error) {
	k := kinds[s.Kind]
	// The Go kinds have paths of their own.
	paths := s.Paths
	if len(paths) == 0 {
		paths = k.paths
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("no paths")
	}
	// Nothing in it depends on the order of the patterns.
	var files []inputFile
	for _, pattern := range paths {
		found, err := expand(cfg, k, pattern)
		if err != nil {
			return nil, err
		}
		files = append(files, found...)
	}
	// One pattern of several may match nothing (*.zst beside *.gz); a source
	// without any file is a mistake.
	if len(files) == 0 {
		return nil, noMatch(cfg, paths)
	}
	// Two patterns may match one file, which is read once.
	files, again := sortFiles(files)
	if len(again) > 0 && cfg.OnNote != nil {
		more := ""
		if len(again) > 1 {
			more = fmt.Sprintf(", and %d more such", len(again)-1)
		}
		cfg.OnNote(fmt.Sprintf("source %q: %s is %s%s: read once", s.Name, again[0][0], again[0][1], more))
	}
	kept := files[:0]
	for _, f := range files {
		out, err := excluded(s.Exclude, f.name)
		if err != nil {
			return nil, fmt.Errorf("exclude: %w", err)
		}
		if out {
			continue
		}
		kept = append(kept, f)
	}
	// Said with the number, since the patterns did match.
	if len(kept) == 0 {
		return nil, fmt.Errorf("all %d files are excluded", len(files))
	}
	return kept, nil
}

// noMatch is the error about patterns without a file. Where they were looked for
// is what a wrong one needs to be set right.
func noMatch(cfg *Config, paths []string) error {
	relative := func(p string) bool { return !filepath.IsAbs(p) && !strings.HasPrefix(p, "$GOROOT") }
	if !slices.ContainsFunc(paths, relative) {
		return fmt.Errorf("no file matches %q", paths)
	}
	base, err := filepath.Abs(cfg.Base)
	if err != nil {
		base = cfg.Base
	}
	return fmt.Errorf("no file matches %q in %s; relative paths start at the folder of the spec, which that is", paths, base)
}

// shared tells of files that several sources have.
func (p *plan) shared(cfg *Config) {
	if cfg.OnNote == nil {
		return
	}
	first := map[string]int{}
	type pair struct{ a, b int }
	count := map[pair]int{}
	example := map[pair]string{}
	for i, files := range p.files {
		for _, f := range files {
			j, ok := first[f.real]
			if !ok {
				first[f.real] = i
				continue
			}
			at := pair{j, i}
			if count[at]++; count[at] == 1 {
				example[at] = f.path
			}
		}
	}
	for i := range p.files {
		for j := range i {
			n := count[pair{j, i}]
			// The comments of a file are another text than its code.
			if n == 0 || cfg.Sources[i].Kind != cfg.Sources[j].Kind {
				continue
			}
			files := "1 file"
			if n > 1 {
				files = fmt.Sprintf("%d files", n)
			}
			cfg.OnNote(fmt.Sprintf("sources %q and %q both read %s (%s)", cfg.Sources[j].Name, cfg.Sources[i].Name, files, example[pair{j, i}]))
		}
	}
}

// expand finds the files of one pattern. A name is relative to the pattern's
// fixed part, or to GOROOT for a pattern in it, so that names, and with them
// the held-out documents, are the same wherever the files lie.
func expand(cfg *Config, k *kind, pattern string) ([]inputFile, error) {
	root := ""
	// The only variable: specs mean the same on every machine, and the
	// distribution's folder is all that differs.
	if rest, ok := strings.CutPrefix(pattern, "$GOROOT"); ok {
		goroot, err := findGOROOT(cfg)
		if err != nil {
			return nil, err
		}
		root, pattern = goroot, filepath.Join(goroot, filepath.FromSlash(rest))
	} else if !filepath.IsAbs(pattern) {
		pattern = filepath.Join(cfg.Base, filepath.FromSlash(pattern))
	}
	return expandAt(k, pattern, root)
}

// expandAt finds the files of a pattern whose variables are expanded. Names are
// relative to root, or to the fixed part of the pattern when root is empty.
func expandAt(k *kind, pattern, root string) (files []inputFile, err error) {
	fixed, parts := splitPattern(pattern)
	// What is there under the very name is meant by it, brackets and all.
	if _, lerr := os.Lstat(pattern); lerr == nil {
		fixed, parts = pattern, nil
	}
	add := func(p string) { files = append(files, inputFile{path: p}) }
	// A file, a folder and a pattern are three ways to name files.
	switch st, serr := os.Stat(fixed); {
	case parts != nil && errors.Is(serr, fs.ErrNotExist):
		return nil, nil // a pattern that matches nothing
	case serr != nil:
		err = serr
	case parts != nil:
		if root == "" {
			root = fixed
		}
		err = glob(fixed, parts, add)
	case st.IsDir():
		if root == "" {
			root = fixed
		}
		// A folder stands for everything below it.
		err = walk(fixed, add)
	case !st.Mode().IsRegular():
		err = fmt.Errorf("%s: not a file but a %s", fixed, fileType(st.Mode()))
	default:
		if root == "" {
			root = filepath.Dir(fixed)
		}
		add(fixed)
	}
	if err != nil {
		return nil, err
	}
	kept := files[:0]
	for _, f := range files {
		rel, err := filepath.Rel(root, f.path)
		if err != nil {
			return nil, err
		}
		f.name = filepath.ToSlash(rel)
		if k.keep == nil || k.keep(f.name) {
			kept = append(kept, f)
		}
	}
	return kept, nil
}

// findGOROOT asks the configuration, the environment, and the go command.
func findGOROOT(cfg *Config) (string, error) {
	dir := cfg.GOROOT
	if dir == "" {
		dir = os.Getenv("GOROOT")
	}
	if dir == "" {
		out, err := exec.Command("go", "env", "GOROOT").Output()
		if err != nil {
			return "", fmt.Errorf("cannot find $GOROOT: set it, or put the go command on the path: %w", err)
		}
		dir = string(bytes.TrimSpace(out))
	}
	// Names are relative to it, so links on the way to it must not matter.
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return "", fmt.Errorf("cannot find $GOROOT: %w", err)
	}
	return real, nil
}

// inputs are all files of the plan, as a set lists them.
func (p *plan) inputs(cfg *Config) (list []data.Input) {
	for i, files := range p.files {
		for _, f := range files {
			list = append(list, data.Input{Source: cfg.Sources[i].Name, Name: f.name, Size: f.size, SHA256: fmt.Sprintf("%x", f.sum)})
		}
	}
	return list
}

// Inputs lists the files that Run would read, with their contents' hashes. It
// needs neither a tokenizer nor a folder.
func Inputs(ctx context.Context, cfg Config) ([]data.Input, error) {
	if err := cfg.checkInput(); err != nil {
		return nil, err
	}
	cfg.Tokenizer = nil
	p, err := newPlan(ctx, &cfg)
	if err != nil {
		return nil, err
	}
	return p.inputs(&cfg), nil
}
