package prepare

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/llamac/llamac/data"
)

// byteTok is a tokenizer of bytes with BOS 256 and EOS 257. It takes its time
// when delay is set.
type byteTok struct {
	name  string
	delay time.Duration
}

func (byteTok) Vocab() int { return 258 }
func (byteTok) BOS() int32 { return 256 }
func (byteTok) EOS() int32 { return 257 }
func (t byteTok) Hash() string {
	return fmt.Sprintf("%x", sha256.Sum256([]byte("bytes"+t.name)))
}

func (t byteTok) Encode(dst []int32, text []byte) []int32 {
	time.Sleep(t.delay)
	for _, b := range text {
		dst = append(dst, int32(b))
	}
	return dst
}

func (byteTok) Decode(dst []byte, ids []int32) []byte {
	for _, id := range ids {
		if id < 256 {
			dst = append(dst, byte(id))
		}
	}
	return dst
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// put writes a file below dir, compressed if its name says so.
func put(t testing.TB, dir, name string, body []byte) {
	t.Helper()
	path := filepath.Join(dir, filepath.FromSlash(name))
	must(t, os.MkdirAll(filepath.Dir(path), 0o777))
	switch filepath.Ext(name) {
	case ".gz":
		body = gz(t, body)
	case ".zst":
		body = zst(t, body)
	}
	must(t, os.WriteFile(path, body, 0o666))
}

func gz(t testing.TB, body []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write(body)
	must(t, err)
	must(t, w.Close())
	return b.Bytes()
}

func zst(t testing.TB, body []byte) []byte {
	w, err := zstd.NewWriter(nil)
	must(t, err)
	return w.EncodeAll(body, nil)
}

// words makes text of about n bytes.
func words(rng *rand.Rand, n int) string {
	var b strings.Builder
	for b.Len() < n {
		b.WriteString([]string{"the ", "light ", "of\n", "ray ", "ünd ", "prism ", "and "}[rng.IntN(7)])
	}
	return b.String()
}

// corpus writes 60 text files and 6 files of JSON lines, some of them
// compressed, with a duplicate here and there.
func corpus(t testing.TB, dir string) {
	t.Helper()
	rng := rand.New(rand.NewPCG(40, 41))
	var before []string
	text := func(n int) string {
		if len(before) > 0 && rng.IntN(6) == 0 {
			return before[rng.IntN(len(before))]
		}
		s := words(rng, 1+rng.IntN(n))
		before = append(before, s)
		return s
	}
	for i := range 60 {
		name := fmt.Sprintf("text/%c/%02d.txt%s", 'a'+i%5, i, []string{"", "", ".gz", ".zst"}[rng.IntN(4)])
		put(t, dir, name, []byte(text(3000)))
	}
	for i := range 6 {
		var b bytes.Buffer
		for range 100 {
			line, err := json.Marshal(map[string]any{"id": i, "text": text(300)})
			must(t, err)
			b.Write(append(line, '\n'))
		}
		put(t, dir, fmt.Sprintf("json/%d.jsonl%s", i, []string{"", ".gz", ".zst"}[i%3]), b.Bytes())
	}
}

// corpusConfig prepares the corpus in a dozen units.
func corpusConfig(dir, out string) Config {
	return Config{
		Sources: []Source{
			{Name: "text", Share: 0.25, Kind: "files", Paths: []string{"text/**/*.txt*"}, Dedup: true},
			{Name: "json", Share: 0.75, Kind: "jsonl", Paths: []string{"json/*"}, Field: "text", MaxBytes: 60000},
		},
		Tokenizer: byteTok{}, AddBOS: true, AddEOS: true, Validation: 0.1, Base: dir, OutDir: out, unitBytes: 10000,
	}
}

// files reads a folder: names and contents.
func files(t testing.TB, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	must(t, filepath.WalkDir(dir, func(p string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(p)
		rel, _ := filepath.Rel(dir, p)
		out[filepath.ToSlash(rel)] = string(b)
		return err
	}))
	return out
}

// same compares two folders byte by byte.
func same(t testing.TB, what string, got, want map[string]string) {
	t.Helper()
	for name := range want {
		if g, ok := got[name]; !ok {
			t.Errorf("%s: %s is missing", what, name)
		} else if g != want[name] {
			t.Errorf("%s: %s differs", what, name)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s: %s is too much", what, name)
		}
	}
}

// run prepares and opens a set, and checks it whole.
func run(t testing.TB, cfg Config) *data.Set {
	t.Helper()
	dir, err := Run(context.Background(), cfg, nil)
	must(t, err)
	set, err := data.Open(dir)
	must(t, err)
	t.Cleanup(func() { set.Close() })
	must(t, set.Verify(nil))
	return set
}

// docsOf reads the documents of a set back as text, with the marks of BOS and
// EOS checked and taken off.
func docsOf(t testing.TB, set *data.Set) (docs []textDoc) {
	t.Helper()
	must(t, set.Documents(func(d *data.Document) bool {
		ids := d.Read(nil)
		if set.Tokenizer.BOS >= 0 {
			if ids[0] != set.Tokenizer.BOS {
				t.Fatalf("document %s begins with %d", d.Name, ids[0])
			}
			ids = ids[1:]
		}
		if set.Tokenizer.EOS >= 0 {
			if ids[len(ids)-1] != set.Tokenizer.EOS {
				t.Fatalf("document %s ends with %d", d.Name, ids[len(ids)-1])
			}
			ids = ids[:len(ids)-1]
		}
		text := string(byteTok{}.Decode(nil, ids))
		if int64(len(text)) != d.Bytes {
			t.Fatalf("document %s has %d bytes, its entry says %d", d.Name, len(text), d.Bytes)
		}
		docs = append(docs, textDoc{d.Source, d.Name, text, d.HeldOut})
		return true
	}))
	return docs
}

type textDoc struct {
	source, name, text string
	held               bool
}

// The set holds what a plain reading of the files gives: every document that
// no rule drops, under its name, on its side of the split.
func TestSetHoldsTheInput(t *testing.T) {
	dir := t.TempDir()
	corpus(t, dir)
	cfg := corpusConfig(dir, t.TempDir())
	set := run(t, cfg)

	// The oracle reads with the standard library, one file after the other.
	var want []textDoc
	var paths []string
	for _, pattern := range []string{"text/?/*", "json/*"} {
		m, err := filepath.Glob(filepath.Join(dir, filepath.FromSlash(pattern)))
		must(t, err)
		paths = append(paths, m...)
	}
	seen := map[string]bool{}
	jsonBytes, dups, beyond := 0, int64(0), int64(0)
	for _, p := range paths {
		body, err := os.ReadFile(p)
		must(t, err)
		switch filepath.Ext(p) {
		case ".gz":
			r, err := gzip.NewReader(bytes.NewReader(body))
			must(t, err)
			var b bytes.Buffer
			_, err = b.ReadFrom(r)
			must(t, err)
			body = b.Bytes()
		case ".zst":
			r, err := zstd.NewReader(nil)
			must(t, err)
			body, err = r.DecodeAll(body, nil)
			must(t, err)
			r.Close()
		}
		rel, err := filepath.Rel(dir, p)
		must(t, err)
		source, name, _ := strings.Cut(filepath.ToSlash(rel), "/")
		if source == "text" {
			if seen[string(body)] {
				dups++
				continue
			}
			seen[string(body)] = true
			want = append(want, textDoc{source: source, name: name, text: string(body)})
			continue
		}
		for i, line := range strings.Split(strings.TrimSuffix(string(body), "\n"), "\n") {
			var v struct{ Text string }
			must(t, json.Unmarshal([]byte(line), &v))
			if jsonBytes >= 60000 {
				beyond++
				continue
			}
			jsonBytes += len(v.Text)
			want = append(want, textDoc{source: source, name: fmt.Sprintf("%s:%d", name, i+1), text: v.Text})
		}
	}
	wantBy := map[string]textDoc{}
	held := 0
	for _, d := range want {
		sum := sha256.Sum256([]byte(d.name))
		d.held = float64(sum[0])*256+float64(sum[1]) < 0.1*65536-1
		wantBy[d.source+" "+d.name] = d
	}
	got := docsOf(t, set)
	for _, d := range got {
		w, ok := wantBy[d.source+" "+d.name]
		if !ok || w.text != d.text {
			t.Fatalf("document %s %s: in the input: %v, held the same text: %v", d.source, d.name, ok, w.text == d.text)
		}
		if w.held != d.held {
			t.Errorf("document %s is held out: %v, want %v", d.name, d.held, w.held)
		}
		if d.held {
			held++
		}
		delete(wantBy, d.source+" "+d.name)
	}
	if len(wantBy) > 0 || held == 0 {
		t.Errorf("%d documents are missing; %d are held out", len(wantBy), held)
	}
	s := set.Stats()
	if dups == 0 || s[0].Duplicates.Docs != dups || s[1].Duplicates.Docs != 0 {
		t.Errorf("duplicates are counted as %d and %d, want %d and 0", s[0].Duplicates.Docs, s[1].Duplicates.Docs, dups)
	}
	// Of the units that lie wholly beyond the limit nothing is counted.
	if s[1].Beyond.Docs == 0 || s[1].Beyond.Docs > beyond {
		t.Errorf("%d documents are counted as beyond the limit, at most %d are", s[1].Beyond.Docs, beyond)
	}
	if s[0].Train.Docs+s[0].HeldOut.Docs+s[1].Train.Docs+s[1].HeldOut.Docs != int64(len(got)) {
		t.Errorf("counts %+v do not add up to %d documents", s, len(got))
	}
	if _, err := os.Stat(filepath.Join(cfg.OutDir, workDir)); !os.IsNotExist(err) {
		t.Errorf("the work folder is still there: %v", err)
	}
}

// However the work is spread, the set is the same bytes.
func TestSameBytesForAnyWorkersAndShards(t *testing.T) {
	dir := t.TempDir()
	corpus(t, dir)
	ctx := context.Background()
	prepare := func(change func(*Config)) map[string]string {
		cfg := corpusConfig(dir, t.TempDir())
		change(&cfg)
		out, err := Run(ctx, cfg, nil)
		must(t, err)
		return files(t, out)
	}
	want := prepare(func(c *Config) { c.Workers = 1 })
	if len(want) < 15 {
		t.Fatalf("only %d files: the test needs several units", len(want))
	}
	for _, workers := range []int{2, 3, 16} {
		same(t, fmt.Sprintf("%d workers", workers), prepare(func(c *Config) { c.Workers = workers }), want)
	}
	same(t, "little memory for duplicates", prepare(func(c *Config) { c.DedupMemory = 1 }), want)

	for _, n := range []int{2, 3, 50} {
		// An array job that shares a folder, its jobs at the same time: the
		// last one finishes.
		cfg := corpusConfig(dir, t.TempDir())
		errs := make(chan error)
		for i := range n {
			go func() {
				c := cfg
				c.Shard = Shard{i, n}
				_, err := Run(ctx, c, nil)
				errs <- err
			}()
		}
		for range n {
			must(t, <-errs)
		}
		same(t, fmt.Sprintf("%d jobs on one folder", n), files(t, cfg.OutDir), want)
	}

	// A job that saw no set when it began, and does its units after the others have
	// finished one without them: units beyond a source's limit.
	shared := corpusConfig(dir, t.TempDir())
	if _, err := Run(ctx, shared, nil); err != nil {
		t.Fatal(err)
	}
	for i := range 8 {
		late := shared
		late.Shard = Shard{i, 8}
		must(t, late.check())
		p, err := newPlan(ctx, &late)
		must(t, err)
		must(t, (&runner{cfg: &late, plan: p, dir: shared.OutDir, progress: newTracker(nil)}).run(ctx))
		same(t, fmt.Sprintf("late job %d", i), files(t, shared.OutDir), want)
	}

	// Jobs that each have a folder: their files together are one run's.
	const n = 3
	all := corpusConfig(dir, t.TempDir())
	for i := range n {
		cfg := corpusConfig(dir, t.TempDir())
		cfg.Shard = Shard{i, n}
		_, err := Run(ctx, cfg, nil)
		must(t, err)
		if _, err := data.Open(cfg.OutDir); err == nil {
			t.Errorf("a third of the work is a set")
		}
		must(t, os.CopyFS(filepath.Join(all.OutDir, fmt.Sprint(i)), os.DirFS(cfg.OutDir)))
	}
	must(t, os.Mkdir(filepath.Join(all.OutDir, workDir), 0o777))
	for i := range n {
		from := filepath.Join(all.OutDir, fmt.Sprint(i))
		for name, body := range files(t, filepath.Join(from, workDir)) {
			must(t, os.WriteFile(filepath.Join(all.OutDir, workDir, name), []byte(body), 0o666))
		}
		must(t, os.RemoveAll(from))
	}
	all.Tokenizer = failTok{t}
	_, err := Run(ctx, all, nil)
	must(t, err)
	same(t, "three folders together", files(t, all.OutDir), want)
}

// failTok is byteTok that must not be used on any document.
type failTok struct{ t *testing.T }

func (failTok) Vocab() int                            { return byteTok{}.Vocab() }
func (failTok) BOS() int32                            { return byteTok{}.BOS() }
func (failTok) EOS() int32                            { return byteTok{}.EOS() }
func (failTok) Hash() string                          { return byteTok{}.Hash() }
func (failTok) Decode(dst []byte, ids []int32) []byte { return byteTok{}.Decode(dst, ids) }

func (f failTok) Encode(dst []int32, text []byte) []int32 {
	if len(text) > 1 { // one letter is for the table of token bytes
		f.t.Errorf("%.20q is tokenized again", text)
	}
	return byteTok{}.Encode(dst, text)
}
