package tokenizer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// tokenizer.json is Hugging Face's form of a tokenizer (tokenizers 0.13 and
// later). Truncation and padding are about batches of texts of one length and
// change nothing here; whatever else a file may hold is read or refused.
type jsonFile struct {
	Version       json.RawMessage `json:"version"`
	Truncation    json.RawMessage `json:"truncation"`
	Padding       json.RawMessage `json:"padding"`
	AddedTokens   []addedToken    `json:"added_tokens"`
	Normalizer    json.RawMessage `json:"normalizer"`
	PreTokenizer  json.RawMessage `json:"pre_tokenizer"`
	PostProcessor json.RawMessage `json:"post_processor"` // only for BOS and EOS: Encode adds neither
	Decoder       json.RawMessage `json:"decoder"`
	Model         *jsonModel      `json:"model"`

	loose bool // ids of added tokens need not follow those of the model
}

// jsonModel is the vocabulary. Its type is absent in files of older versions.
type jsonModel struct {
	Type         string           `json:"type"`
	Dropout      *float64         `json:"dropout"` // leaves out merges at random
	UnkToken     *string          `json:"unk_token"`
	Prefix       *string          `json:"continuing_subword_prefix"`
	Suffix       *string          `json:"end_of_word_suffix"`
	FuseUnk      bool             `json:"fuse_unk"` // a run of unknown characters is one token
	ByteFallback bool             `json:"byte_fallback"`
	IgnoreMerges bool             `json:"ignore_merges"` // words that are pieces are not taken apart
	Vocab        map[string]int32 `json:"vocab"`
	Merges       []jsonMerge      `json:"merges"`
}

// jsonMerge is written "a b" by older versions and ["a", "b"] by newer ones.
type jsonMerge [2]string

// UnmarshalJSON reads both spellings.
func (m *jsonMerge) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		var s string
		if err := json.Unmarshal(data, &s); err != nil {
			return err
		}
		left, right, ok := strings.Cut(s, " ")
		if !ok || strings.Contains(right, " ") {
			return fmt.Errorf("merge %q is not two pieces", s)
		}
		*m = jsonMerge{left, right}
		return nil
	}
	var s []string
	if err := json.Unmarshal(data, &s); err != nil {
		return err
	}
	if len(s) != 2 {
		return fmt.Errorf("merge of %d pieces", len(s))
	}
	*m = jsonMerge(s)
	return nil
}

// ParseJSON reads Hugging Face's tokenizer.json: byte-pair encodings of the
// SentencePiece and of the byte-level kind. A part that would change ids and is
// not supported is an error that names it.
//
// As with Hugging Face's own encoders, added tokens that occur in text become
// their ids; WithoutSpecials gives a tokenizer that treats special ones as text.
func ParseJSON(name string, data []byte) (*BPE, error) {
	f := new(jsonFile)
	if err := strictJSON(data, f); err != nil {
		// encoding/json knows the offset; people look for the line.
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			line := 1 + bytes.Count(data[:min(syntax.Offset, int64(len(data)))], []byte("\n"))
			return nil, fmt.Errorf("%s:%d: %w", name, line, err)
		}
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	t, err := f.build()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return t, nil
}

// build turns the file into a tokenizer. What it does not know how to do
// exactly is an error: an encoder that is nearly right is of no use.
func (f *jsonFile) build() (*BPE, error) {
	m := f.Model
	switch {
	case m == nil:
		return nil, errors.New("no model")
	case m.Type != "BPE" && m.Type != "":
		return nil, fmt.Errorf("model.type %q is not BPE", m.Type)
	case m.Dropout != nil && *m.Dropout != 0:
		return nil, errors.New("model.dropout is not supported: ids would be random")
	case m.Prefix != nil && *m.Prefix != "" || m.Suffix != nil && *m.Suffix != "":
		return nil, errors.New("model.continuing_subword_prefix and end_of_word_suffix are not supported")
	}
	parts := [4]*jsonPart{}
	for i, raw := range []json.RawMessage{f.Normalizer, f.PreTokenizer, f.PostProcessor, f.Decoder} {
		var err error
		if parts[i], err = readPart([]string{"normalizer", "pre_tokenizer", "post_processor", "decoder"}[i], raw); err != nil {
			return nil, err
		}
	}
	// Normalizer and pre-tokenizer say to which family the vocabulary belongs,
	// and so how its pieces are spelled: they come first.
	p := &pipeline{added: f.AddedTokens, ignoreMerges: m.IgnoreMerges, json: f}
	t := &BPE{hf: p, unk: -1, bos: -1, eos: -1}
	if err := p.readNormalizer(parts[0], 0); err != nil {
		return nil, err
	}
	if err := p.readPreTokenizer(t, parts[1], 0); err != nil {
		return nil, err
	}
	p.settle(t)
	toBytes, err := p.readDecoder(parts[3])
	if err != nil {
		return nil, err
	}
	t.decodesBytes = toBytes
	if err := f.pieces(t); err != nil {
		return nil, err
	}
	if err := f.checkAdded(); err != nil {
		return nil, err
	}
	if err := f.listedRules(t); err != nil {
		return nil, err
	}
	p.dropUnknown = t.dropsUnknown()
	// Hugging Face emits one id for a run of unknown characters only if told
	// so.
	t.keepUnknowns = !m.FuseUnk
	if err := p.readAdded(t, false); err != nil {
		return nil, err
	}
	p.findShortcuts(t)
	if err := f.findEnds(t, parts[2], 0); err != nil {
		return nil, err
	}
	t.finish()
	return t, nil
}

// settle says how words are spelled where merging meets them. If all spaces
// have become ▁ by then, one byte stands for it.
func (p *pipeline) settle(t *BPE) {
	if t.cfg.Family == ByteLevel {
		// Steps behind the one that spells bytes see that spelling.
		p.spelled = !p.steps[len(p.steps)-1].spell
		if !p.spelled {
			p.steps[len(p.steps)-1].spell = false
		}
		return
	}
	for _, z := range p.normalizers {
		t.cfg.EscapeSpaces = z.escape || t.cfg.EscapeSpaces && !z.spaces
	}
	for i := range p.steps {
		t.cfg.EscapeSpaces = t.cfg.EscapeSpaces || p.steps[i].escape
	}
}

// checkAdded holds the ids of added tokens to what Hugging Face's library gives
// them, whatever the file says: that of the model's piece of the same spelling,
// or else the next one.
func (f *jsonFile) checkAdded() error {
	next := int32(len(f.Model.Vocab))
	seen := map[string]bool{}
	for _, a := range f.AddedTokens {
		if f.loose || a.Content == "" || seen[a.Content] {
			continue
		}
		seen[a.Content] = true
		want, ok := f.Model.Vocab[a.Content]
		if !ok {
			want = next
			next++
		}
		if a.ID != want {
			return fmt.Errorf("added token %q has id %d, but its place in the vocabulary is %d, which Hugging Face's library gives it", a.Content, a.ID, want)
		}
	}
	return nil
}

// pieces fills t.pieces from the model's vocabulary and the added tokens.
func (f *jsonFile) pieces(t *BPE) error {
	m := f.Model
	n := len(m.Vocab)
	for text, id := range m.Vocab {
		if id < 0 {
			return fmt.Errorf("piece %q has id %d", text, id)
		}
		n = max(n, int(id)+1)
	}
	for _, a := range f.AddedTokens {
		if a.ID < 0 {
			return fmt.Errorf("added token %q has id %d", a.Content, a.ID)
		}
		n = max(n, int(a.ID)+1)
	}
	// Ids without a piece occur, in small numbers: a bound on them keeps a
	// small file from asking for much memory.
	if limit := 2*(len(m.Vocab)+len(f.AddedTokens)) + 1<<16; n > limit || n > maxPieces {
		return fmt.Errorf("ids go up to %d with only %d pieces", n-1, len(m.Vocab)+len(f.AddedTokens))
	}
	t.pieces = make([]Piece, n)
	for i := range t.pieces {
		t.pieces[i].Kind = KindControl // for ids without a piece
	}
	// The order of a map does not matter: each id is written once.
	for text, id := range m.Vocab {
		if t.pieces[id].Kind == KindNormal {
			return fmt.Errorf("pieces %q and %q have the same id %d", text, t.pieces[id].Text, id)
		}
		kind := KindNormal
		// A piece is a byte only in vocabularies that fall back to bytes:
		// <0x41> may be text elsewhere.
		if _, ok := byteOfPiece(text); ok && m.ByteFallback {
			kind = KindByte
		}
		if m.UnkToken != nil && text == *m.UnkToken {
			kind = KindUnknown
		}
		t.pieces[id] = Piece{Text: text, Kind: kind}
	}
	// Added tokens may repeat pieces of the vocabulary, to make them special.
	for _, a := range f.AddedTokens {
		kind := KindUserDefined
		switch {
		case m.UnkToken != nil && a.Content == *m.UnkToken:
			kind = KindUnknown
		// An added token that repeats a byte piece does not make it less of a
		// byte.
		case t.pieces[a.ID].Kind == KindByte && t.pieces[a.ID].Text == a.Content:
			kind = KindByte
		case a.Special:
			kind = KindControl
		}
		t.pieces[a.ID] = Piece{Text: a.Content, Kind: kind}
	}
	// The same checks as for every other format.
	if err := t.checkPieces(); err != nil {
		return err
	}
	t.cfg.ByteFallback = m.ByteFallback && allBytes(t.pieces)
	if m.ByteFallback && !t.cfg.ByteFallback && slices.ContainsFunc(t.pieces, func(p Piece) bool { return p.Kind == KindByte }) {
		return errors.New("model.byte_fallback with pieces for some bytes only is not supported")
	}
	return nil
}

// listedRules builds the rules from a list of merges, in which an earlier one
// merges first.
//
// Pieces are spelt in the file as text appears to the encoder: with ▁ for
// spaces, or with a character for each byte.
func (f *jsonFile) listedRules(t *BPE) error {
	m, r := f.Model, &t.rules
	r.bytewise = t.cfg.Family == ByteLevel
	r.text = make([]string, len(t.pieces))
	for text, id := range m.Vocab {
		if r.bytewise {
			r.text[id], _ = rawBytes(text) // one that spells no bytes is never met
			continue
		}
		// Where spaces are escaped no text has one by the time it is merged, so
		// that a piece with a plain space is out of reach.
		if !t.cfg.EscapeSpaces || !strings.Contains(text, " ") {
			r.text[id] = t.internal(text)
		}
	}
	// A pair that is listed twice counts where it is listed last.
	r.pairs = newPairTable(len(m.Merges))
	for i, merge := range m.Merges {
		left, ok1 := m.Vocab[merge[0]]
		right, ok2 := m.Vocab[merge[1]]
		whole, ok3 := m.Vocab[merge[0]+merge[1]]
		if !ok1 || !ok2 || !ok3 {
			return fmt.Errorf("model.merges[%d]: %q and %q, or both together, are no pieces", i, merge[0], merge[1])
		}
		// The joined text must be the sum of both: where escaping or spelling
		// changed a part, the merge can never happen.
		if len(r.text[whole]) != len(r.text[left])+len(r.text[right]) || r.text[whole] == "" {
			continue // holds a character that no text becomes
		}
		// Ranks are places in the list.
		r.pairs.set(left, right, int32(i), whole)
	}
	r.index()
	r.build()
	if f.Model.IgnoreMerges {
		// Most pieces come out of merging anyhow. Only the others need
		// looking up, and often there are none.
		t.hf.whole = map[string]int32{}
		for id, text := range r.text {
			if text != "" && r.trie.find(text) != int32(id) {
				t.hf.whole[text] = int32(id)
			}
		}
	}
	return nil
}

// readAdded builds the matchers; plain leaves special tokens in the text.
//
// Tokens that are found in normalised text are looked for in their own normal
// form, as Hugging Face does it.
func (p *pipeline) readAdded(t *BPE, plain bool) error {
	raw, norm := make([]string, len(p.added)), make([]string, len(p.added))
	// Both lists keep the places of the tokens; an empty string matches
	// nothing.
	for i, a := range p.added {
		switch {
		case a.Content == "":
		case a.Normalized:
			if norm[i] = p.normalForm(a.Content); norm[i] == "" {
				return fmt.Errorf("nothing is left of added token %q in normal form", a.Content)
			}
		default:
			raw[i] = a.Content
		}
	}
	p.raw, p.norm = newMatcher(raw), newMatcher(norm)
	p.raw.plain, p.norm.plain = plain, plain
	return nil
}

// normalForm is what the normalizers make of a text.
func (p *pipeline) normalForm(s string) string {
	text := []byte(s)
	for _, z := range p.normalizers {
		text = z.apply(nil, text)
	}
	return string(text)
}

// findEnds finds BOS and EOS: the tokens that the post-processor puts around a
// text, or else by their usual spellings.
func (f *jsonFile) findEnds(t *BPE, part *jsonPart, depth int) error {
	ids := map[string]int32{}
	for id, p := range t.pieces {
		// Only control pieces can be ends: text that spells one out may be a
		// normal piece.
		if p.Kind == KindControl && p.Text != "" {
			ids[p.Text] = int32(id)
		}
	}
	// find takes the first name that there is.
	find := func(names ...string) int32 {
		for _, n := range names {
			if id, ok := ids[n]; ok {
				return id
			}
		}
		return -1
	}
	if depth == 0 {
		// GPT-2 has one token for both ends of a document.
		t.bos = find("<s>", "<|begin_of_text|>", "<bos>", "<|startoftext|>", "<|endoftext|>")
		t.eos = find("</s>", "<|end_of_text|>", "<eos>", "<|endoftext|>")
	}
	if part == nil {
		return nil
	}
	if depth > maxPartDepth {
		return fmt.Errorf("post-processors nest deeper than %d", maxPartDepth)
	}
	set := func(after bool, name string) {
		if id := find(name); id >= 0 && after {
			t.eos = id
		} else if id >= 0 {
			t.bos, t.putsBOS = id, true
		}
	}
	switch part.Type {
	case "Sequence":
		for _, q := range part.Processors {
			if q == nil {
				return errors.New("a post-processor in a Sequence is null")
			}
			if err := f.findEnds(t, q, depth+1); err != nil {
				return err
			}
		}
	case "ByteLevel": // it trims offsets, and adds no tokens
	case "RobertaProcessing", "BertProcessing":
		for i, raw := range []json.RawMessage{part.CLS, part.SEP} {
			var pair []any
			if json.Unmarshal(raw, &pair) != nil || len(pair) != 2 {
				return fmt.Errorf("post-processor %s without cls and sep", part.Type)
			}
			name, _ := pair[0].(string)
			set(i == 1, name)
		}
	case "TemplateProcessing":
		// What stands before the text begins a document, what stands behind
		// ends one.
		after := false
		for _, item := range part.Single {
			if item.SpecialToken == nil {
				after = true
				continue
			}
			set(after, item.SpecialToken.ID)
		}
	default:
		return fmt.Errorf("post-processor %s is not supported", part.Type)
	}
	return nil
}
