package app

import (
	"fmt"
	"slices"
	"strings"

	"github.com/llamac/llamac/runtime/model"
	"github.com/llamac/llamac/runtime/sample"
	"github.com/llamac/llamac/tokenizer"
)

// generator writes text with a decoder, several texts side by side.
type generator struct {
	dec  model.Decoder
	info *model.Info
	// [most, vocabulary].
	logits []float32 // a row for each text
	tokens []int32
	seqs   []int32
	want   []int32
	most   int // texts that can be written side by side
	ids    int // ids that may be written: those behind them have no text

	ending  []int32 // ids that end a text beside EOS and BOS
	prefill int     // tokens the decoder takes at once
}

// newGenerator makes room for a number of texts side by side, or for as many
// of them as the decoder takes.
// Its buffers are all that writing needs: nothing is allocated per token.
func newGenerator(info *model.Info, dec model.Decoder, side int) *generator {
	m := info.Memory
	// A decoder takes at most so many tokens in a step, which also bounds the
	// texts: each feeds one token a step.
	g := &generator{dec: dec, info: info, prefill: max(m.Prefill, 1), ids: info.Vocab}
	g.most = max(1, min(side, max(m.MaxSequences, 1), g.prefill))
	g.logits = make([]float32, g.most*info.Vocab)
	return g
}

func (g *generator) close() { g.dec.Close() }

// fits is how many texts of a number of tokens the cache holds.
func (g *generator) fits(tokens int) int {
	m := g.info.Memory
	// A decoder without blocks, as in tests, has no bound of its own.
	if m.KVBlock <= 0 || m.KVBlocks <= 0 {
		return g.most
	}
	// Each text takes whole blocks of the cache, and its last one may be nearly
	// empty.
	return max(1, min(g.most, m.KVBlocks/((tokens+m.KVBlock-1)/m.KVBlock)))
}

// start feeds a prompt, of at least one token, to a sequence, in portions that
// the decoder takes; afterwards row 0 of logits is that of the next token.
func (g *generator) start(seq int32, ids []int32) error {
	for len(ids) > 0 {
		// The decoder's scratch is sized for a portion.
		n := min(len(ids), g.prefill)
		g.seqs, g.want = g.seqs[:0], g.want[:0]
		for range n {
			g.seqs = append(g.seqs, seq)
		}
		// Logits are wanted of the last token alone: they are a vocabulary
		// wide.
		if n == len(ids) {
			g.want = append(g.want, int32(n-1))
		}
		if err := g.dec.Step(ids[:n], g.seqs, g.want, g.logits); err != nil {
			return err
		}
		ids = ids[n:]
	}
	return nil
}

// row is the logits of the i-th text of the last step, of the ids that may be
// written.
func (g *generator) row(i int) []float32 {
	return g.logits[i*g.info.Vocab:][:g.ids]
}

// text is one text that is being written.
// Each has a sampler of its own, so that what it says does not depend on its
// neighbours.
type text struct {
	ids    []int32 // prompt and new tokens
	draws  sample.Config
	choose *sample.Sampler // while the text is written: it is as large as the vocabulary
	ended  bool            // by a token that ends documents
}

// ends tells whether a token ends a document: LLaMA's tokenizers begin the
// next one with BOS, and models of chats have further ends.
func (g *generator) ends(tok tokenizer.Tokenizer, id int32) bool {
	return id >= 0 && (id == tok.EOS() || id == tok.BOS() || slices.Contains(g.ending, id))
}

// write continues texts, which all begin with the same prompt, by up to n
// tokens each and not past the model's context.
func (g *generator) write(tok tokenizer.Tokenizer, prompt []int32, texts []*text, n int) error {
	// From here on n is the same for all texts, so that those which do not end
	// early end together.
	n = min(n, g.info.Context-len(prompt)+1) // the last token need not be fed
	// As many at a time as the cache holds; the others follow.
	for len(texts) > 0 {
		side := min(len(texts), g.fits(len(prompt)+n))
		for _, t := range texts[:side] {
			t.choose = sample.New(g.info.Vocab, t.draws)
		}
		if err := g.together(tok, prompt, texts[:side], n); err != nil {
			return err
		}
		for _, t := range texts[:side] {
			t.choose = nil
		}
		texts = texts[side:]
	}
	return nil
}

// together writes texts side by side: one prefill shared by all, then a token
// of each at a time.
func (g *generator) together(tok tokenizer.Tokenizer, prompt []int32, texts []*text, n int) error {
	for i := range texts {
		g.dec.Reset(i)
	}
	if err := g.start(0, prompt); err != nil {
		return err
	}
	for i := 1; i < len(texts); i++ {
		// All begin with the prompt's blocks, and part when they write.
		if err := g.dec.Fork(i, 0); err != nil {
			return err
		}
		// Its logits are the prompt's as well.
		copy(g.row(i), g.row(0))
	}
	rows := make([]int, len(texts)) // row of logits of each text
	for i, t := range texts {
		t.ids = append(t.ids[:0], prompt...)
		rows[i] = i
	}
	for range n {
		g.tokens, g.seqs, g.want = g.tokens[:0], g.seqs[:0], g.want[:0]
		for i, t := range texts {
			// Its row drops out of the batch; the others go on.
			if t.ended {
				continue
			}
			// The position decides the draw, with the text's own seed.
			id, err := t.choose.Next(g.row(rows[i]), len(t.ids))
			if err != nil {
				return fmt.Errorf("token %d of the text: %w", len(t.ids), err)
			}
			t.ids = append(t.ids, id)
			if t.ended = g.ends(tok, id); t.ended {
				continue
			}
			// Rows of logits are those of the tokens that were fed, in their
			// order.
			rows[i] = len(g.tokens)
			g.want = append(g.want, int32(len(g.tokens)))
			g.tokens, g.seqs = append(g.tokens, id), append(g.seqs, int32(i))
		}
		// All ended, or all have their tokens: the last ones need not be fed.
		if len(g.tokens) == 0 || len(texts[g.seqs[0]].ids) == len(prompt)+n {
			break
		}
		if err := g.dec.Step(g.tokens, g.seqs, g.want, g.logits); err != nil {
			return err
		}
	}
	// The cache's blocks go back, for the texts that follow.
	for i := range texts {
		g.dec.Reset(i)
	}
	return nil
}

// promptIDs encodes a prompt. A text has to begin with something: where the
// model knows no BOS and the prompt is empty, with a line's end that is not
// shown. hidden is the number of ids that are not part of the text.
func promptIDs(tok tokenizer.Tokenizer, bos bool, prompt string) (ids []int32, hidden int) {
	if bos && tok.BOS() >= 0 {
		ids = append(ids, tok.BOS())
	}
	if prompt == "" && len(ids) == 0 {
		ids = tok.Encode(ids, []byte("\n"))
		return ids, len(ids)
	}
	ids = tok.Encode(ids, []byte(prompt))
	if doubled(tok, bos, ids) {
		ids = ids[1:]
	}
	return ids, 0
}

// doubled tells whether BOS was put before a text that has become BOS itself at
// its beginning. No text of training has two.
func doubled(tok tokenizer.Tokenizer, bos bool, ids []int32) bool {
	return bos && tok.BOS() >= 0 && len(ids) > 1 && ids[1] == tok.BOS()
}

// aboutPrompt says what a person may not expect of a prompt that spells control
// tokens out: some formats look for them, and some take them for text.
func aboutPrompt(tok tokenizer.Tokenizer, prompt string, bos bool, note func(string)) {
	ids := tok.Encode(nil, []byte(prompt))
	if bos && tok.BOS() >= 0 && len(ids) > 0 && ids[0] == tok.BOS() {
		note(fmt.Sprintf("warning: the prompt begins with %s itself: none is put before it", tok.Piece(tok.BOS())))
	}
	for _, p := range tokenizer.Info(tok).Control {
		if p.Text != "" && strings.Contains(prompt, p.Text) && !slices.Contains(ids, p.ID) {
			note(fmt.Sprintf("warning: %s in the prompt is read as text: this format of tokenizer finds no control tokens in text, tokenizer.json does", p.Text))
			return
		}
	}
}
