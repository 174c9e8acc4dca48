package data

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// testDoc is a document of a test set: tokens without BOS and EOS, each of
// which stands for the bytes that testBytes gives, plus fix for the first.
type testDoc struct {
	ids []int32
	fix int32
}

// testSource is a source of a test set. Shards says after how many documents
// a new shard begins.
type testSource struct {
	name       string
	share      float64
	train, val []testDoc
	perShard   int
}

// testSet writes a set of its own making, without package prepare.
type testSet struct {
	vocab    int
	bos, eos int32
	sources  []testSource
}

func (ts *testSet) bytesOf(id int32) int {
	if id == ts.bos || id == ts.eos {
		return 0
	}
	return 1 + int(id)%5
}

// flat is a source's documents end to end, as the shards hold them.
func (ts *testSet) flat(docs []testDoc) (ids []int32) {
	for _, d := range docs {
		ids = append(ids, ts.with(d)...)
	}
	return ids
}

// with adds BOS and EOS.
func (ts *testSet) with(d testDoc) (ids []int32) {
	if ts.bos >= 0 {
		ids = append(ids, ts.bos)
	}
	ids = append(ids, d.ids...)
	if ts.eos >= 0 {
		ids = append(ids, ts.eos)
	}
	return ids
}

// textBytes is the length of a document's text.
func (ts *testSet) textBytes(d testDoc) int {
	n := int(d.fix)
	for _, id := range d.ids {
		n += ts.bytesOf(id)
	}
	return n
}

func (ts *testSet) write(t testing.TB, dir string) {
	t.Helper()
	m := &Manifest{Key: "test", Sources: []SourceInfo{}}
	table := make([]byte, 2*ts.vocab)
	for id := range ts.vocab {
		binary.LittleEndian.PutUint16(table[2*id:], uint16(ts.bytesOf(int32(id))))
	}
	must(t, os.WriteFile(filepath.Join(dir, TokenBytesFile), table, 0o666))
	m.Tokenizer = TokenizerInfo{Hash: "tokenizer", Vocab: ts.vocab, BOS: ts.bos, EOS: ts.eos, TokenBytes: sumText(sha256.Sum256(table))}
	for _, s := range ts.sources {
		info := SourceInfo{Name: s.name, Kind: "files", Share: s.share}
		for held, docs := range [][]testDoc{s.train, s.val} {
			for n := 0; len(docs) > 0; n++ {
				k := len(docs)
				if s.perShard > 0 {
					k = min(k, s.perShard)
				}
				name := fmt.Sprintf("%s-%05d.%d.tok", s.name, n, held)
				h := ts.shard(t, filepath.Join(dir, name), fmt.Sprintf("%s/%d", s.name, n), docs[:k])
				si := ShardInfo{File: name, HeldOut: held == 1, Size: h.Size(), SHA256: sumText(h.Sum),
					Counts: Counts{h.Docs, h.Bytes, h.Tokens}}
				info.Shards = append(info.Shards, si)
				if held == 1 {
					info.HeldOut.Add(si.Counts)
				} else {
					info.Train.Add(si.Counts)
				}
				docs = docs[k:]
			}
		}
		m.Sources = append(m.Sources, info)
	}
	b, err := m.Encode()
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, ManifestFile), b, 0o666))
}

func (ts *testSet) shard(t testing.TB, path, prefix string, docs []testDoc) Header {
	t.Helper()
	f, err := os.Create(path)
	must(t, err)
	defer f.Close()
	w, err := NewWriter(f, Header{Vocab: ts.vocab, BOS: ts.bos, EOS: ts.eos, Tokenizer: "tokenizer"})
	must(t, err)
	for i, d := range docs {
		must(t, w.Add(Doc{Bytes: int32(ts.textBytes(d)), Fix: d.fix, Ord: uint32(i)}, fmt.Sprintf("%s:%d", prefix, i), ts.with(d)))
	}
	h, err := w.Finish()
	must(t, err)
	return h
}

// open writes the set to a temporary folder and opens it.
func (ts *testSet) open(t testing.TB, mapped bool) *Set {
	t.Helper()
	dir := t.TempDir()
	ts.write(t, dir)
	s, err := open(dir, mapped)
	must(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

// randomDocs makes n documents of random lengths.
func randomDocs(rng *rand.Rand, n, most, vocab int) []testDoc {
	docs := make([]testDoc, n)
	for i := range docs {
		ids := make([]int32, 1+rng.IntN(most))
		for k := range ids {
			ids[k] = int32(rng.IntN(vocab))
		}
		docs[i] = testDoc{ids, int32(rng.IntN(4)) - 1}
	}
	return docs
}

// countedDocs makes documents whose tokens count up from first, so that a
// token tells its own place.
func countedDocs(rng *rand.Rand, first, tokens, most int) (docs []testDoc) {
	for tokens > 0 {
		n := min(tokens, 1+rng.IntN(most))
		ids := make([]int32, n)
		for k := range ids {
			ids[k] = int32(first)
			first++
		}
		docs = append(docs, testDoc{ids: ids})
		tokens -= n
	}
	return docs
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
