package prepare

import (
	"context"
	"errors"
	"iter"
)

// Texts gives the text of the training documents one after the other, in the
// order of the sources and files, for training a tokenizer on what it will be
// used on. Held-out documents are left out: a vocabulary that has seen them
// would flatter the evaluation. Duplicates are not.
//
// A text is valid until the next is asked for. An error ends the sequence.
// key is a hash of what decides the texts, to keep what is made of them by;
// Tokenizer, OutDir and CacheDir are not used.
func Texts(ctx context.Context, cfg Config) (key string, docs iter.Seq2[[]byte, error], err error) {
	if err := cfg.checkInput(); err != nil {
		return "", nil, err
	}
	// Two sets that differ in their tokenizer alone are learned from the same
	// texts, and have one key for them.
	cfg.Tokenizer = nil
	p, err := newPlan(ctx, &cfg)
	if err != nil {
		return "", nil, err
	}
	return p.key, func(yield func([]byte, error) bool) {
		if err := eachText(ctx, &cfg, p, yield); err != nil && err != errStopped {
			yield(nil, err)
		}
	}, nil
}

// errStopped is how a consumer's break comes back through a reader.
var errStopped = errors.New("stopped")

// eachText reads one file after the other. Learning keeps all processors busy
// by itself, so nothing runs side by side here.
func eachText(ctx context.Context, cfg *Config, p *plan, yield func([]byte, error) bool) error {
	// skip has the rule of Run: what it counts as broken is left out here as
	// well.
	skip := func(err error) error {
		var bad *InputError
		if !cfg.SkipBad || !errors.As(err, &bad) {
			return err
		}
		if cfg.OnSkip != nil {
			cfg.OnSkip(err)
		}
		return nil
	}
	for i := range cfg.Sources {
		s := &cfg.Sources[i]
		k := kinds[s.Kind]
		// Bytes of text of this source.
		var read int64
		take := func(d rawDoc) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			text, what := d.body, use
			if k.text != nil {
				var err error
				if text, what, err = k.text(s, &d); err != nil {
					return skip(err)
				}
			}
			if at := invalidAt(text); what == use && at >= 0 && !k.anything {
				return skip(d.bad(0, notUTF8(text, at)))
			}
			// The limit is that of Run, which counts held-out text too.
			if what != use || s.MaxBytes > 0 && read >= s.MaxBytes {
				return nil
			}
			read += int64(len(text))
			// After counting: the limit must fall on the same document as in
			// Run.
			switch p.split[i] {
			case splitDocuments:
				if heldOut(d.name, cfg.Validation) {
					return nil
				}
			case splitPosition:
				text = text[:splitAt(text, cfg.Validation)]
			}
			if len(text) == 0 {
				return nil
			}
			if !yield(text, nil) {
				return errStopped
			}
			return nil
		}
		for j := range p.files[i] {
			if s.MaxBytes > 0 && read >= s.MaxBytes {
				break
			}
			if err := readTexts(k, &p.files[i][j], take); err != nil {
				if err := skip(err); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// readTexts hands over the documents of one file.
func readTexts(k *kind, f *inputFile, take emitFunc) error {
	in, err := openInput(f, nil)
	if err != nil {
		return err
	}
	defer in.close()
	return in.readAs(k, take)
}
