package data

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// smallSet writes a set of one shard and returns the shard's path.
func smallSet(t testing.TB) (dir, shard string) {
	t.Helper()
	rng := rand.New(rand.NewPCG(20, 21))
	ts := &testSet{vocab: 300, bos: 298, eos: 299, sources: []testSource{{name: "a", share: 1, train: randomDocs(rng, 20, 40, 298)}}}
	dir = t.TempDir()
	ts.write(t, dir)
	return dir, filepath.Join(dir, "a-00000.0.tok")
}

// change rewrites a file.
func change(t testing.TB, path string, f func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(path, f(b), 0o666))
}

// fixCRC makes a header's checksum right again after a change to it.
func fixCRC(b []byte) []byte {
	binary.LittleEndian.PutUint32(b[252:], crc32.Checksum(b[:252], castagnoli))
	return b
}

// Each damage that opening a set can find, and where it says it is.
func TestOpenReportsDamage(t *testing.T) {
	le := binary.LittleEndian
	cases := []struct {
		name   string
		file   string
		damage func([]byte) []byte
		want   string // after the folder's name
	}{
		{"sound", "a-00000.0.tok", func(b []byte) []byte { return b }, ""},
		{"bit of the header", "a-00000.0.tok", func(b []byte) []byte { b[17] ^= 4; return b },
			"/a-00000.0.tok: offset 252: header checksum is"},
		{"empty", "a-00000.0.tok", func(b []byte) []byte { return nil },
			"/a-00000.0.tok: offset 0: ends inside the 256 byte header of a shard"},
		{"not a shard", "a-00000.0.tok", func(b []byte) []byte { return append([]byte("PK\x03\x04...."), b[8:]...) },
			`/a-00000.0.tok: offset 0: not a token shard: it starts with "PK\x03\x04...."`},
		{"cut short", "a-00000.0.tok", func(b []byte) []byte { return b[:1000] },
			"/a-00000.0.tok: offset 1000: file has 1000 bytes, its header says 2"},
		{"longer", "a-00000.0.tok", func(b []byte) []byte { return append(b, 0) },
			"/a-00000.0.tok: offset 2"},
		{"newer version", "a-00000.0.tok", func(b []byte) []byte { le.PutUint32(b[8:], 9); return fixCRC(b) },
			"/a-00000.0.tok: offset 8: shard version 9, this program reads 1"},
		{"other tokenizer", "a-00000.0.tok", func(b []byte) []byte { copy(b[72:], "someother"); return fixCRC(b) },
			"/a-00000.0.tok: offset 72: made with tokenizer someother, the set with tokenizer"},
		{"other vocabulary", "a-00000.0.tok", func(b []byte) []byte { b[56]++; return fixCRC(b) },
			"/a-00000.0.tok: offset 56: vocabulary 301, BOS 298, EOS 299, but the set has 300, 298, 299"},
		{"other contents", "a-00000.0.tok", func(b []byte) []byte { b[140] ^= 1; return fixCRC(b) },
			"/a-00000.0.tok: offset 136: checksum in the header is"},
		{"no manifest", ManifestFile, nil,
			": not a prepared data set, or one whose preparation has not ended: open "},
		{"manifest cut short", ManifestFile, func(b []byte) []byte { return b[:100] },
			"/manifest.json: offset"},
		{"newer manifest", ManifestFile, func(b []byte) []byte {
			return bytes.Replace(b, []byte(`"llamac data 3"`), []byte(`"llamac data 4", "new": 1`), 1)
		}, `/manifest.json: format is "llamac data 4", this program reads "llamac data 3"`},
		{"unknown field", ManifestFile, func(b []byte) []byte { return bytes.Replace(b, []byte(`"key"`), []byte(`"kex"`), 1) },
			`/manifest.json: offset`},
		{"shard elsewhere", ManifestFile, func(b []byte) []byte { return bytes.Replace(b, []byte("a-00000"), []byte("../a"), 1) },
			`/manifest.json: source a: shard "../a.0.tok" is not a file of the set`},
		{"token bytes", TokenBytesFile, func(b []byte) []byte { b[3]++; return b },
			"/token-bytes.bin: offset 0: checksum is"},
		{"fewer token bytes", TokenBytesFile, func(b []byte) []byte { return b[2:] },
			"/token-bytes.bin: 598 bytes for a vocabulary of 300, want 600"},
	}
	for _, c := range cases {
		dir, _ := smallSet(t)
		if c.damage == nil {
			must(t, os.Remove(filepath.Join(dir, c.file)))
		} else {
			change(t, filepath.Join(dir, c.file), c.damage)
		}
		set, err := Open(dir)
		if err == nil {
			set.Close()
		}
		switch {
		case c.want == "":
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		case err == nil:
			t.Errorf("%s: opened without an error, want %q", c.name, c.want)
		case !strings.HasPrefix(filepath.ToSlash(err.Error()), filepath.ToSlash(dir)+c.want):
			t.Errorf("%s: error is %q, want %q", c.name, err, dir+c.want)
		}
	}
}

func TestOpenReportsMissing(t *testing.T) {
	dir, shard := smallSet(t)
	must(t, os.Remove(shard))
	if _, err := Open(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing shard gives %v", err)
	}
	set, err := Open(filepath.Join(dir, "nowhere"))
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing set gives %v, %v", set, err)
	}
}

func TestCheckTokenizer(t *testing.T) {
	dir, _ := smallSet(t)
	set, err := Open(dir)
	must(t, err)
	defer set.Close()
	must(t, set.CheckTokenizer("tokenizer"))
	want := filepath.Join(dir, "manifest.json") + ": the set was made with tokenizer tokenizer, this one is 0123456789abcdef: prepare it again"
	if err := set.CheckTokenizer("0123456789abcdef0123"); err == nil || err.Error() != want {
		t.Errorf("error is %v, want %s", err, want)
	}
}

// A flipped bit anywhere after the header escapes Open and not Verify. Tokens,
// table and names are all met with a stride that divides none of their sizes.
func TestVerifyFindsDamage(t *testing.T) {
	dir, shard := smallSet(t)
	sound, err := os.ReadFile(shard)
	must(t, err)
	for at := headerSize; at < len(sound); at += 11 {
		bad := bytes.Clone(sound)
		bad[at] ^= 1 << (at % 8)
		must(t, os.WriteFile(shard, bad, 0o666))
		set, err := Open(dir)
		must(t, err)
		err = set.Verify(nil)
		var e *Error
		if !errors.As(err, &e) || e.File != shard || e.Offset != headerSize {
			t.Fatalf("a flipped bit at %d gives %v", at, err)
		}
		set.Close()
	}
}

func TestVerifyOfSoundSet(t *testing.T) {
	for _, mapped := range []bool{true, false} {
		rng := rand.New(rand.NewPCG(2, 2))
		set := countedSet(rng, 5, 3000, 300).open(t, mapped)
		var last, all int64
		must(t, set.Verify(func(done, total int64) { last, all = done, total }))
		if last != all || all == 0 {
			t.Errorf("progress ends at %d of %d", last, all)
		}
	}
}

// A token beyond the vocabulary must never reach a training step's tables.
func TestReadRefusesAlienTokens(t *testing.T) {
	dir, shard := smallSet(t)
	change(t, shard, func(b []byte) []byte {
		binary.LittleEndian.PutUint16(b[headerSize+2*5:], 300)
		return b
	})
	set, err := Open(dir)
	must(t, err)
	defer set.Close()
	st, err := set.Stream(StreamConfig{Context: 1000})
	must(t, err)
	defer func() {
		if e, ok := recover().(*Error); !ok || !strings.Contains(e.Error(), "token 300 of a vocabulary of 300: the shard is damaged") {
			t.Errorf("recovered %v", e)
		}
	}()
	st.Sequence(0, make([]int32, 1001))
	t.Error("a sequence with token 300 of 300 was given out")
}

// No header, however made, may pass and then lead outside its file.
func FuzzHeader(f *testing.F) {
	h := Header{Width: 2, Tokens: 5, Docs: 2, Bytes: 9, NameBytes: 3, Vocab: 300, BOS: 1, EOS: -1, Tokenizer: "t"}
	f.Add(h.encode(), h.Size())
	h.Width, h.Vocab = 4, 1<<20
	f.Add(h.encode(), h.Size())
	h.Tokens = 1 << 50
	f.Add(h.encode(), h.Size())
	f.Fuzz(func(t *testing.T, b []byte, size int64) {
		if len(b) >= headerSize {
			fixCRC(b)
		}
		h, err := decodeHeader("f", b, size)
		if err != nil {
			return
		}
		if h.Size() != size || h.docsAt() < headerSize || h.namesAt() < h.docsAt() || h.namesAt() > size || h.Vocab < 0 {
			t.Fatalf("header %+v of a file of %d bytes", h, size)
		}
		if again, err := decodeHeader("f", h.encode(), size); err != nil || again != h {
			t.Fatalf("%+v comes back as %+v, %v", h, again, err)
		}
	})
}

// A shard with a right header and any contents may give nonsense or an
// *Error, and nothing else.
func FuzzShard(f *testing.F) {
	rng := rand.New(rand.NewPCG(22, 23))
	ts := &testSet{vocab: 300, bos: -1, eos: 299}
	shard := filepath.Join(f.TempDir(), "small.tok")
	h := ts.shard(f, shard, "d", randomDocs(rng, 3, 6, 298))
	sound, err := os.ReadFile(shard)
	must(f, err)
	n := int(h.Size()) - headerSize
	f.Add(sound[headerSize:], uint16(3))
	f.Add([]byte{}, uint16(5))
	f.Add(bytes.Repeat([]byte{0xff}, n), uint16(77))
	f.Fuzz(func(t *testing.T, body []byte, at uint16) {
		body = append(body, make([]byte, n)...)[:n]
		path := filepath.Join(t.TempDir(), "x.tok")
		must(t, os.WriteFile(path, append(h.encode(), body...), 0o666))
		s, err := OpenShard(path)
		must(t, err)
		defer s.Close()
		defer func() {
			if e := recover(); e != nil {
				if _, ok := e.(*Error); !ok {
					panic(e)
				}
			}
		}()
		s.Verify()
		r := &run{}
		r.add(s)
		p := int64(at) % s.Tokens
		r.starts(p, s.Tokens, nil)
		r.docsIn(p, s.Tokens)
		r.textBytes(p, make([]int32, s.Tokens), make([]uint16, h.Vocab))
	})
}
