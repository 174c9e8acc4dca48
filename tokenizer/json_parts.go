package tokenizer

import "fmt"

// readNormalizer recognises the normalizers that amount to SentencePiece's.
// What is not recognised is an error that names it: a normalizer left out would
// change ids in silence.
func (p *pipeline) readNormalizer(t *BPE, n *jsonPart) error {
	// A file without one leaves text as it is.
	if n == nil {
		return nil
	}
	switch n.Type {
	case "Sequence":
		for _, part := range n.Normalizers {
			if err := p.readNormalizer(t, part); err != nil {
				return err
			}
		}
		return nil
	case "Prepend":
		// It must come before the replacing of spaces, or it would put a
		// space before an added token's spelling as well.
		if n.Prepend == space && !t.cfg.EscapeSpaces {
			p.prefix = prefixAlways
			t.cfg.DummyPrefix = true
			return nil
		}
		return fmt.Errorf("normalizer Prepend of %q is not supported", n.Prepend)
	case "Replace":
		// The escape of spaces is the one replacement that SentencePiece's
		// rules amount to.
		if n.Pattern != nil && n.Pattern.String != nil && *n.Pattern.String == " " && n.Content == space {
			t.cfg.EscapeSpaces = true
			return nil
		}
		return fmt.Errorf("normalizer Replace is supported for spaces by ▁ only")
	}
	return fmt.Errorf("normalizer %s is not supported", n.Type)
}

// readPreTokenizer recognises the pre-tokenizers of both families.
// Sequences nest; what counts is the order of the steps.
func (p *pipeline) readPreTokenizer(t *BPE, n *jsonPart) error {
	if n == nil {
		return nil
	}
	switch n.Type {
	case "Sequence":
		// Order matters: digits are isolated before GPT-2's pattern sees the
		// text, or behind it.
		for _, part := range n.Pretokenizers {
			if err := p.readPreTokenizer(t, part); err != nil {
				return err
			}
		}
		return nil
	case "ByteLevel":
		// The name stands for two things: bytes are spelled as characters,
		// and text is cut by GPT-2's pattern unless told otherwise.
		t.cfg.Family = ByteLevel
		s := step{cut: cutGPT2, prefixSpace: n.AddPrefixSpace == nil || *n.AddPrefixSpace}
		if n.UseRegex != nil && !*n.UseRegex {
			s.cut = cutNone
		}
		// Each would put its own space, and the second would find one there
		// already or not, depending on what the steps between have cut.
		for _, before := range p.steps {
			if before.prefixSpace && s.prefixSpace {
				return fmt.Errorf("two pre-tokenizers that put a space before the text are not supported")
			}
		}
		// One that neither cuts nor adds has done its work by naming the
		// family.
		if s.cut != cutNone || s.prefixSpace {
			p.steps = append(p.steps, s)
		}
		return nil
	case "Digits":
		if n.IndividualDigits {
			p.steps = append(p.steps, step{cut: cutDigits})
			return nil
		}
		return fmt.Errorf("pre-tokenizer Digits is supported with individual_digits only")
	case "Split":
		return p.readSplit(t, n)
	case "Metaspace":
		return p.readMetaspace(t, n)
	}
	return fmt.Errorf("pre-tokenizer %s is not supported", n.Type)
}

// readSplit reads a pre-tokenizer that cuts by a pattern, if it is one of those
// that a scanner exists for.
func (p *pipeline) readSplit(t *BPE, n *jsonPart) error {
	switch {
	case n.Pattern == nil:
	case n.Pattern.Regex != nil:
		// The pattern is compared as text. An equivalent spelling is refused:
		// telling whether two expressions are the same is beyond this reader.
		cut, ok := patterns[*n.Pattern.Regex]
		// Every character matches, so that keeping the matches apart and
		// removing what lies between them are the same.
		if ok && (n.Behavior == "Isolated" && !n.Invert || n.Behavior == "Removed" && n.Invert) {
			p.steps = append(p.steps, step{cut: cut})
			return nil
		}
		return fmt.Errorf("pre-tokenizer Split by the pattern %q (%s) is not supported", *n.Pattern.Regex, n.Behavior)
	case n.Pattern.String != nil && *n.Pattern.String == " " && t.cfg.EscapeSpaces:
		return nil // no space is left to split by
	}
	return fmt.Errorf("pre-tokenizer Split by a string is not supported")
}

// readMetaspace reads the newer way to say what a Prepend and Replace say.
func (p *pipeline) readMetaspace(t *BPE, n *jsonPart) error {
	if n.Replacement != space {
		return fmt.Errorf("pre-tokenizer Metaspace with %q for spaces is not supported", n.Replacement)
	}
	// Without "split", a space may stand inside a piece.
	//
	// A Metaspace with split cuts before every space; one without leaves runs
	// to the merges, as SentencePiece does.
	t.cfg.EscapeSpaces = true
	p.splitSpaces = n.Split == nil || *n.Split
	scheme := n.PrependScheme
	if scheme == "" {
		// Versions before 0.15 had a flag in its place.
		scheme = "always"
		if n.AddPrefixSpace != nil && !*n.AddPrefixSpace {
			scheme = "never"
		}
	}
	switch scheme {
	case "always":
		p.prefix = prefixUnless
	case "first":
		p.prefix = prefixFirst
	case "never":
		p.prefix = prefixNone
	default:
		return fmt.Errorf("pre-tokenizer Metaspace with prepend_scheme %q is not supported", scheme)
	}
	t.cfg.DummyPrefix = p.prefix != prefixNone
	return nil
}
