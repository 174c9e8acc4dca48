package tokenizer

import (
	"bytes"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"
)

var allTestdata = []string{"llama_like.model", "rules.model", "gpt2.json", "gpt2_prefix.json", "llama3.json", "qwen2.json", "smollm.json",
	"metaspace_first.json", "metaspace_always.json"}

func openTestdata(t testing.TB, name string) *BPE {
	t.Helper()
	tok, err := Open("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return tok.(*BPE)
}

// What a stream says, put together, is what Decode says, and every part of it
// is whole characters.
func TestStream(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	for _, name := range append(slices.Clone(allTestdata), "bytes") {
		var tok Tokenizer = Byte()
		if name != "bytes" {
			tok = openTestdata(t, name)
		}
		for range 300 {
			var ids []int32
			for range rng.IntN(30) {
				id := rng.Int32N(int32(tok.Vocab()) + 2)
				if rng.IntN(2) == 0 {
					id = rng.Int32N(260) // bytes, mostly
				}
				ids = append(ids, id-1)
			}
			if rng.IntN(2) == 0 {
				ids = tok.Encode(nil, []byte(randomText(rng)))
			}
			s := NewStream(tok)
			var got []byte
			for _, id := range ids {
				part := s.Next(id)
				if !utf8.Valid(part) {
					t.Fatalf("%s: %v: a part is %q", name, ids, part)
				}
				got = append(got, part...)
			}
			got = append(got, s.Flush()...)
			want := string([]rune(string(tok.Decode(nil, ids)))) // U+FFFD for each bad byte
			if string(got) != want {
				t.Fatalf("%s: %v: streamed %q, decoded %q", name, ids, got, want)
			}
		}
	}
}

// A byte-level tokenizer gives any bytes back.
func TestByteLevelLossless(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 14))
	for _, name := range []string{"gpt2.json", "qwen2.json", "smollm.json"} {
		tok := openTestdata(t, name).WithoutSpecials()
		for range 200 {
			b := make([]byte, rng.IntN(40))
			for i := range b {
				b[i] = byte(rng.Uint32())
			}
			if got := tok.Decode(nil, tok.Encode(nil, b)); name != "qwen2.json" && !bytes.Equal(got, b) {
				t.Fatalf("%s: %q comes back as %q", name, b, got)
			}
		}
	}
}

func TestWithoutSpecials(t *testing.T) {
	tok := openTestdata(t, "gpt2.json")
	text := []byte("a<|endoftext|>b")
	special := tok.EOS()
	if special < 0 || !slices.Contains(tok.Encode(nil, text), special) {
		t.Errorf("EOS %d is not in %v", special, tok.Encode(nil, text))
	}
	plain := tok.WithoutSpecials()
	if slices.Contains(plain.Encode(nil, text), special) || string(plain.Decode(nil, plain.Encode(nil, text))) != string(text) {
		t.Errorf("special in %v", plain.Encode(nil, text))
	}
	if plain.Hash() != tok.Hash() {
		t.Error("the ids mean the same, and the hashes differ")
	}
	if !SpecialsInText(tok) || SpecialsInText(plain) || SpecialsInText(Byte()) {
		t.Error("SpecialsInText tells them apart wrongly")
	}
	sp := openTestdata(t, "llama_like.model")
	if sp.WithoutSpecials() != sp {
		t.Error("a SentencePiece vocabulary has nothing to leave out")
	}
}

// Encoding and decoding allocate nothing but their results.
func TestAllocs(t *testing.T) {
	for _, name := range allTestdata {
		tok := openTestdata(t, name)
		texts := [][]byte{[]byte("Hello, world! don't 1234 日本語 \xff\xfe  x"), bytes.Repeat([]byte("aab"), 3000), []byte("▁ a"), []byte(strings.Repeat("word ", 200))}
		ids, out := make([]int32, 0, 1<<16), make([]byte, 0, 1<<16)
		run := func() {
			for _, text := range texts {
				ids = tok.Encode(ids[:0], text)
				out = tok.Decode(out[:0], ids)
			}
		}
		run()
		if n := testing.AllocsPerRun(10, run); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
		s := NewStream(tok)
		stream := func() {
			for id := range int32(300) {
				s.Next(id)
			}
			s.Flush()
		}
		stream()
		if n := testing.AllocsPerRun(10, stream); n != 0 {
			t.Errorf("%s: %v allocations in a stream", name, n)
		}
	}
}

// Many goroutines share one tokenizer.
func TestConcurrent(t *testing.T) {
	for _, name := range []string{"llama_like.model", "rules.model", "llama3.json"} {
		tok := openTestdata(t, name)
		stem, _, _ := strings.Cut(name, ".")
		cases := golden(t, stem)
		var wg sync.WaitGroup
		for g := range 8 {
			wg.Go(func() {
				var ids []int32
				for i := range cases {
					c := cases[(i*7+g*13)%len(cases)]
					if ids = tok.Encode(ids[:0], []byte(c.text)); !slices.Equal(ids, c.ids) {
						t.Errorf("%s: %q", name, c.text)
					}
				}
			})
		}
		wg.Wait()
	}
}

// Appending leaves what was there alone.
func TestAppends(t *testing.T) {
	for _, name := range allTestdata {
		tok := openTestdata(t, name)
		text := []byte("日 x\x00y zz")
		want := tok.Encode(nil, text)
		got := tok.Encode([]int32{-7, tok.unk}, text)
		if got[0] != -7 || got[1] != tok.unk || !slices.Equal(got[2:], want) {
			t.Errorf("%s: %v after two ids, %v alone", name, got, want)
		}
		if s := tok.Decode([]byte("\xff"), want); s[0] != 0xff || string(s[1:]) != string(tok.Decode(nil, want)) {
			t.Errorf("%s: decoded %q", name, s)
		}
	}
}

// No text is slow: not one letter a million times, nor letters without a space,
// nor anything else that makes merges long. A merge loop that is quadratic in a
// megabyte takes hours; BenchmarkLinear has the figures.
func TestLinear(t *testing.T) {
	for name, text := range longTexts() {
		for _, file := range []string{"llama_like.model", "gpt2.json"} {
			tok := openTestdata(t, file)
			done := make(chan int, 1)
			go func() { done <- len(tok.Encode(nil, text)) }()
			select {
			case n := <-done:
				if n == 0 {
					t.Errorf("%s: no ids for %s", file, name)
				}
			case <-time.After(2 * time.Minute):
				t.Fatalf("%s: a megabyte of %s is not encoded after two minutes", file, name)
			}
		}
	}
}

// longTexts are texts of about a megabyte that make merges long.
func longTexts() map[string][]byte {
	rng := rand.New(rand.NewPCG(15, 16))
	letters := make([]byte, 1<<20)
	for i := range letters {
		letters[i] = "etaoinshrdlu"[rng.IntN(12)]
	}
	return map[string][]byte{
		"one letter": bytes.Repeat([]byte("a"), 1<<20), "two letters": bytes.Repeat([]byte("ab"), 1<<19),
		"spaces": bytes.Repeat([]byte(" "), 1<<20), "dashes": bytes.Repeat([]byte("-"), 1<<20), "letters": letters,
		"emoji": bytes.Repeat([]byte("\U0001F600"), 1<<18), "broken": bytes.Repeat([]byte("\xf0\x9f"), 1<<19),
	}
}

// BenchmarkLinear has the cost of each of them beside that of prose.
func BenchmarkLinear(b *testing.B) {
	texts := longTexts()
	prose, err := os.ReadFile("testdata/corpus.txt")
	if err != nil {
		b.Fatal(err)
	}
	texts["prose"] = prose
	for _, file := range []string{"llama_like.model", "gpt2.json"} {
		tok := openTestdata(b, file)
		for name, text := range texts {
			b.Run(file+"/"+name, func(b *testing.B) {
				ids := make([]int32, 0, 4*len(text))
				b.SetBytes(int64(len(text)))
				for b.Loop() {
					ids = tok.Encode(ids[:0], text)
				}
			})
		}
	}
}
