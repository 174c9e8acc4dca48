package tokenizer

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
)

// WriteJSON writes t as Hugging Face's tokenizer.json. Encoders there add BOS
// themselves, so the file tells them to, if t has one.
//
// A scored SentencePiece vocabulary becomes a list of merges: all pairs of
// pieces that make a piece, best score first. Where two ways to make the same
// piece compete for the same text, SentencePiece takes the leftmost and a list
// takes the earlier listed, so that in rare cases ids differ; that is a limit
// of the format.
func WriteJSON(w io.Writer, t *BPE) error {
	// A file that is nearly right would be worse than none.
	if t.chars != nil || t.cfg.RemoveExtraSpaces || t.cfg.SpaceAsSuffix || t.unused {
		return fmt.Errorf("tokenizer.json cannot say what this vocabulary's normaliser does")
	}
	// The big parts are printed one entry a line, in order of ids and ranks, so
	// that files can be compared; encoding/json would sort the vocabulary.
	b := bufio.NewWriter(w)
	// All parts are made before anything is written, so that an error leaves no
	// half file behind.
	added, err := t.jsonAdded()
	if err != nil {
		return err
	}
	parts, err := t.jsonParts()
	if err != nil {
		return err
	}
	fmt.Fprintf(b, "{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n  \"added_tokens\": %s,\n", added)
	fmt.Fprintf(b, "  \"normalizer\": %s,\n  \"pre_tokenizer\": %s,\n  \"post_processor\": %s,\n  \"decoder\": %s,\n",
		parts[0], parts[1], parts[2], parts[3])
	unk := "null"
	if t.unk >= 0 {
		unk = quoteJSON(t.pieces[t.unk].Text)
	}
	ignore := t.hf != nil && t.hf.ignoreMerges
	fmt.Fprintf(b, "  \"model\": {\n    \"type\": \"BPE\",\n    \"dropout\": null,\n    \"unk_token\": %s,\n"+
		"    \"continuing_subword_prefix\": null,\n    \"end_of_word_suffix\": null,\n    \"fuse_unk\": %v,\n"+
		"    \"byte_fallback\": %v,\n    \"ignore_merges\": %v,\n    \"vocab\": {",
		unk, !t.keepUnknowns && t.cfg.Family == SentencePiece, t.cfg.ByteFallback, ignore)
	// Ids of added tokens need not be in the model's vocabulary.
	sep := "\n"
	for id, p := range t.pieces {
		if !t.inModel(int32(id)) {
			continue
		}
		fmt.Fprintf(b, "%s      %s: %d", sep, quoteJSON(p.Text), id)
		sep = ",\n"
	}
	fmt.Fprintf(b, "\n    },\n    \"merges\": [")
	// A list of merges in the order of ranks. Pieces are spelt out, as ids are
	// not what this format merges by.
	sep = "\n"
	for _, m := range t.jsonMerges() {
		fmt.Fprintf(b, "%s      [%s, %s]", sep, quoteJSON(t.pieces[m.left].Text), quoteJSON(t.pieces[m.right].Text))
		sep = ",\n"
	}
	fmt.Fprintf(b, "\n    ]\n  }\n}\n")
	return b.Flush()
}

// inModel says whether a piece belongs into the model's vocabulary, as opposed
// to added tokens and holes.
func (t *BPE) inModel(id int32) bool {
	if t.hf == nil {
		// A vocabulary that came from another format has all of its pieces in
		// the model.
		return true
	}
	// As the file had it that it was read from.
	if t.hf.json.loose {
		return t.pieces[id].Text != "" // or added tokens would get other ids
	}
	have, ok := t.hf.json.Model.Vocab[t.pieces[id].Text]
	return ok && have == id
}

// jsonMerges lists the merges in order. Of the ways to make the same piece,
// which SentencePiece ranks the same, that of smaller ids comes first.
func (t *BPE) jsonMerges() []pairSlot {
	merges := t.rules.pairs.sorted()
	// A pair with a character that is no piece cannot be listed.
	return slices.DeleteFunc(merges, func(m pairSlot) bool {
		return int(m.left) >= len(t.pieces) || int(m.right) >= len(t.pieces)
	})
}

// jsonAdded lists the special pieces as added tokens, so that their spelling in
// text is found, as Hugging Face expects of them.
func (t *BPE) jsonAdded() ([]byte, error) {
	// What was read is written again, flags and all.
	if t.hf != nil {
		if t.hf.added == nil {
			return []byte("[]"), nil
		}
		return marshalJSON(t.hf.added)
	}
	// These kinds are never the result of a merge, so nothing else would find
	// them in text.
	added := []addedToken{}
	for id, p := range t.pieces {
		switch p.Kind {
		case KindUnknown, KindControl:
			added = append(added, addedToken{ID: int32(id), Content: p.Text, Special: true})
		case KindUserDefined:
			added = append(added, addedToken{ID: int32(id), Content: p.Text})
		}
	}
	return marshalJSON(added)
}

// jsonParts returns normalizer, pre_tokenizer, post_processor and decoder.
func (t *BPE) jsonParts() (parts [4][]byte, err error) {
	// Keys of a map are sorted by encoding/json, so the bytes are the same each
	// time.
	type dict = map[string]any
	var all [4]any // nil becomes null: no such part
	if t.hf != nil {
		// What was read is written again.
		f := t.hf.json
		for i, raw := range []json.RawMessage{f.Normalizer, f.PreTokenizer, f.PostProcessor, f.Decoder} {
			if len(raw) > 0 {
				all[i] = raw
			}
		}
	} else {
		var steps []dict
		if t.cfg.DummyPrefix {
			steps = append(steps, dict{"type": "Prepend", "prepend": space})
		}
		if t.cfg.EscapeSpaces {
			steps = append(steps, dict{"type": "Replace", "pattern": dict{"String": " "}, "content": space})
		}
		if len(steps) > 0 {
			all[0] = dict{"type": "Sequence", "normalizers": steps}
		}
		// ▁ becomes a space, bytes become characters, and the dummy space goes.
		// The decoder undoes, in this order, what the encoder did.
		decoders := []dict{{"type": "Replace", "pattern": dict{"String": space}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}}
		if t.cfg.DummyPrefix {
			decoders = append(decoders, dict{"type": "Strip", "content": " ", "start": 1, "stop": 0})
		}
		all[3] = dict{"type": "Sequence", "decoders": decoders}
	}
	// A tokenizer with one token for both ends leaves adding it to its user.
	if t.bos >= 0 && t.bos != t.eos && all[2] == nil {
		bos := t.pieces[t.bos].Text
		special := dict{"SpecialToken": dict{"id": bos, "type_id": 0}}
		text := func(id string, n int) dict { return dict{"Sequence": dict{"id": id, "type_id": n}} }
		all[2] = dict{"type": "TemplateProcessing", "single": []dict{special, text("A", 0)},
			"pair":           []dict{special, text("A", 0), text("B", 1)},
			"special_tokens": dict{bos: dict{"id": bos, "ids": []int32{t.bos}, "tokens": []string{bos}}}}
	}
	for i := range all {
		if parts[i], err = marshalJSON(all[i]); err != nil {
			return parts, err
		}
	}
	return parts, nil
}

// marshalJSON marshals without escaping <, > and &.
//
// Pieces such as <s> are read by people.
func marshalJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSpace(b.Bytes()), err
}

// quoteJSON quotes a string.
func quoteJSON(s string) string {
	b, err := marshalJSON(s)
	if err != nil {
		return strconv.Quote(s) // strings always marshal
	}
	return string(b)
}
