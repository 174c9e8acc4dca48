package prepare

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/llamac/llamac/data"
)

// spaceTok behaves as SentencePiece with LLaMA's options: a space is put
// before a text and taken off again, words and single bytes are pieces.
type spaceTok struct{}

var spacePieces = []string{"<unk>", "<s>", "</s>", " the", "the", " ", "  ", "light", " light", "\n"}

func (spaceTok) Vocab() int   { return len(spacePieces) + 256 }
func (spaceTok) BOS() int32   { return 1 }
func (spaceTok) EOS() int32   { return 2 }
func (spaceTok) Hash() string { return "space" }

func (spaceTok) Encode(dst []int32, text []byte) []int32 {
	s := " " + string(text)
	if len(text) == 0 {
		return dst
	}
	for s != "" {
		best, id := "", int32(len(spacePieces))+int32(s[0])
		for i, p := range spacePieces[3:] {
			if strings.HasPrefix(s, p) && len(p) > len(best) {
				best, id = p, int32(i+3)
			}
		}
		dst = append(dst, id)
		s = s[max(len(best), 1):]
	}
	return dst
}

func (spaceTok) Decode(dst []byte, ids []int32) []byte {
	n := len(dst)
	for _, id := range ids {
		switch {
		case int(id) >= len(spacePieces):
			dst = append(dst, byte(int(id)-len(spacePieces)))
		case id > 2:
			dst = append(dst, spacePieces[id]...)
		}
	}
	if len(dst) > n && dst[n] == ' ' {
		dst = append(dst[:n], dst[n+1:]...)
	}
	return dst
}

func TestTokenBytes(t *testing.T) {
	got := tokenBytes(spaceTok{})
	want := []uint16{0, 0, 0, 4, 3, 1, 2, 5, 6, 1}
	for range 256 {
		want = append(want, 1)
	}
	if !slices.Equal(got, want) {
		t.Errorf("bytes of the ids are %v, want %v", got, want)
	}
}

// The bytes of the held-out sequences add up to the held-out text, although
// the tokenizer adds a space that no text has.
func TestBytesOfSequences(t *testing.T) {
	dir := t.TempDir()
	rng := rand.New(rand.NewPCG(70, 71))
	for i := range 200 {
		put(t, dir, fmt.Sprintf("%d.txt", i), []byte(words(rng, 1+rng.IntN(400))))
	}
	for _, bos := range []bool{true, false} {
		cfg := Config{
			Sources:   []Source{{Name: "s", Share: 1, Kind: "files", Paths: []string{"*"}}},
			Tokenizer: spaceTok{}, AddBOS: bos, AddEOS: !bos, Validation: 0.3, Base: dir, OutDir: t.TempDir(),
		}
		set := run(t, cfg)
		st, err := set.Stream(data.StreamConfig{Context: 19})
		must(t, err)
		total := int64(0)
		seq := make([]int32, 20)
		for i := range st.ValidationLen() {
			n := st.Validation(i, seq)
			if n < 0 || n > 19*6 {
				t.Fatalf("held-out sequence %d stands for %d bytes", i, n)
			}
			total += int64(n)
		}
		want := set.Stats()[0].HeldOut.Bytes
		if !bos {
			// Nothing comes before the very first token, which is text here.
			var first int32 = -1
			must(t, set.Documents(func(d *data.Document) bool {
				if d.HeldOut {
					first = d.Read(nil)[0]
				}
				return first < 0
			}))
			want -= int64(len(spaceTok{}.Decode(nil, []int32{first})))
		}
		if total != want {
			t.Errorf("BOS %v: the held-out sequences stand for %d bytes, the text has %d", bos, total, want)
		}
	}
}
