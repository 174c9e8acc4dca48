package tokenizer

import (
	"context"
	"strings"
	"testing"
)

// comparePieces compares a trained vocabulary with what spm_train made.
func comparePieces(t *testing.T, got *BPE, want Tokenizer) {
	t.Helper()
	bad := 0
	for id := range max(got.Vocab(), want.Vocab()) {
		g, w := got.Piece(int32(id)), want.Piece(int32(id))
		if g != w {
			if bad++; bad < 6 {
				t.Errorf("piece %d: %q, want %q", id, g, w)
			}
		}
	}
	if bad > 0 {
		t.Errorf("%d of %d pieces differ", bad, want.Vocab())
		return
	}
	if b, ok := want.(*BPE); ok {
		for id, p := range b.pieces {
			if got.pieces[id] != p {
				t.Fatalf("piece %d: %+v, want %+v", id, got.pieces[id], p)
			}
		}
	}
}

// The models that spm_train 0.1.97 made of the same text.
func TestTrainBotchan(t *testing.T) {
	text := string(readAsset(t, "tokenizer/train/botchan.txt"))
	opt := LlamaOptions(1000)
	opt.CharacterCoverage, opt.RemoveExtraSpaces = 1, true
	tok, err := Train(context.Background(), Lines(text), opt)
	if err != nil {
		t.Fatal(err)
	}
	comparePieces(t, tok, openAsset(t, "tokenizer/train/botchan_bpe1000.model"))

	opt = LlamaOptions(4096)
	opt.CharacterCoverage, opt.SplitDigits, opt.RemoveExtraSpaces = 0.9995, false, true
	tok, err = Train(context.Background(), Lines(strings.Split(text, "\n")...), opt)
	if err != nil {
		t.Fatal(err)
	}
	comparePieces(t, tok, openAsset(t, "tokenizer/train/botchan_bpe4096_nodigits.model"))
}
