package tokenizer

import (
	"slices"
	"sort"
)

// llama.cpp gives names to ways of cutting text into words, in the key
// tokenizer.ggml.pre; several names may stand for one.

// ggufPre is one of those ways.
type ggufPre struct {
	cuts  []string // expressions that cut, one after the other
	whole bool     // words that are pieces are not taken apart
}

// What ggufPre.cuts holds beside expressions: the two that tokenizer.json has
// other means for.
const (
	preGPT2   = "GPT-2"
	preDigits = "digits"
)

// Expressions that several names share.
const (
	exprLlama3 = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	exprQwen2  = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	exprBloom  = ` ?[^(\s|.,!?\x{2026}\x{3002}\x{FF0C}\x{3001}\x{964}\x{6D4}\x{60C})]+`
	exprTekken = `[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|` +
		`\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	exprGPT4o = `[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|` +
		`[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|` +
		`\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	exprHan = `[\x{4E00}-\x{9FA5}\x{800}-\x{4E00}\x{AC00}-\x{D7FF}]+`
	// Letters of scripts with upper and lower case.
	exprCased = `\s?[` +
		`A-Za-z\x{B5}\x{C0}-\x{D6}\x{D8}-\x{F6}\x{F8}-\x{1BA}\x{1BC}-\x{1BF}\x{1C4}-\x{293}\x{295}-\x{2AF}` +
		`\x{370}-\x{373}\x{376}\x{377}\x{37B}-\x{37D}\x{37F}\x{386}\x{388}-\x{38A}\x{38C}\x{38E}-\x{3A1}\x{3A3}-\x{3F5}` +
		`\x{3F7}-\x{481}\x{48A}-\x{52F}\x{531}-\x{556}\x{10A0}-\x{10C5}\x{13A0}-\x{13F5}\x{13F8}-\x{13FD}` +
		`\x{1C90}-\x{1CBA}\x{1CBD}-\x{1CBF}\x{1D00}-\x{1D2B}\x{1D6B}-\x{1D77}\x{1D79}-\x{1D9A}\x{1E00}-\x{1F15}` +
		`\x{1F18}-\x{1F1D}\x{1F20}-\x{1F45}\x{1F48}-\x{1F4D}\x{1F50}-\x{1F57}\x{1F59}\x{1F5B}\x{1F5D}\x{1F5F}-\x{1F7D}` +
		`\x{1F80}-\x{1FB4}\x{1FB6}-\x{1FBC}\x{1FBE}\x{1FC2}-\x{1FC4}\x{1FC6}-\x{1FCC}\x{1FD0}-\x{1FD3}\x{1FD6}-\x{1FDB}` +
		`\x{1FE0}-\x{1FEC}\x{1FF2}-\x{1FF4}\x{1FF6}-\x{1FFC}\x{2102}\x{2107}\x{210A}-\x{2113}\x{2115}\x{2119}-\x{211D}` +
		`\x{2124}\x{2126}\x{2128}\x{212A}-\x{212D}\x{212F}-\x{2134}\x{2139}\x{213C}-\x{213F}\x{2145}-\x{2149}\x{214E}` +
		`\x{2183}\x{2184}\x{2C00}-\x{2C7B}\x{2C7E}-\x{2CE4}\x{2CEB}-\x{2CEE}\x{2CF2}\x{2CF3}\x{A640}-\x{A66D}` +
		`\x{A680}-\x{A69B}\x{A722}-\x{A76F}\x{A771}-\x{A787}\x{A78B}-\x{A78E}\x{AB70}-\x{ABBF}\x{FB00}-\x{FB06}` +
		`\x{FB13}-\x{FB17}\x{FF21}-\x{FF3A}\x{FF41}-\x{FF5A}\x{10400}-\x{1044F}\x{104B0}-\x{104D3}\x{104D8}-\x{104FB}` +
		`\x{10C80}-\x{10CB2}\x{10CC0}-\x{10CF2}\x{118A0}-\x{118DF}\x{1E900}-\x{1E943}` +
		`]+`
)

var (
	cutsGPT2   = []string{preGPT2}
	cutsDigits = []string{preDigits, preGPT2}
)

// ggufPres are the names that are known.
var ggufPres = map[string]ggufPre{
	"gpt-2": {cuts: cutsGPT2}, "phi-2": {cuts: cutsGPT2}, "mpt": {cuts: cutsGPT2}, "olmo": {cuts: cutsGPT2}, "jais": {cuts: cutsGPT2},
	"jina-es": {cuts: cutsGPT2}, "jina-de": {cuts: cutsGPT2}, "jina-v2-es": {cuts: cutsGPT2}, "jina-v2-de": {cuts: cutsGPT2}, "jina-v2-code": {cuts: cutsGPT2},

	"smollm": {cuts: cutsDigits}, "starcoder": {cuts: cutsDigits}, "refact": {cuts: cutsDigits}, "command-r": {cuts: cutsDigits},
	"codeshell": {cuts: cutsDigits}, "exaone": {cuts: cutsDigits},

	"llama-bpe": {cuts: []string{exprLlama3}, whole: true}, "llama3": {cuts: []string{exprLlama3}, whole: true}, "llama-v3": {cuts: []string{exprLlama3}, whole: true},
	"smaug-bpe": {cuts: []string{exprLlama3}}, "dbrx": {cuts: []string{exprLlama3}}, "chatglm-bpe": {cuts: []string{exprLlama3}},

	"qwen2": {cuts: []string{exprQwen2}}, "stablelm2": {cuts: []string{exprQwen2}}, "deepseek-r1-qwen": {cuts: []string{exprQwen2}},

	"deepseek-llm":   {cuts: []string{`[\r\n]`, exprCased, `\s?[!-/:-~\x{FF01}-\x{FF0F}\x{FF1A}-\x{FF5E}\x{2018}-\x{201F}\x{3000}-\x{3002}]+`, `\s+$`, exprHan, `\p{N}+`}},
	"deepseek-coder": {cuts: []string{`[\r\n]`, `\s?\p{L}+`, `\s?\p{P}+`, exprHan, `\p{N}`}},

	"falcon":  {cuts: []string{"[\\p{P}\\$\\+<=>\\^~\\|`]+", preGPT2, `[0-9][0-9][0-9]`}},
	"default": {cuts: []string{`[\p{P}\$\+<=>\^~\|]+`, preGPT2, `\p{N}+`, `[0-9][0-9][0-9]`}},

	"bloom": {cuts: []string{exprBloom}}, "poro-chat": {cuts: []string{exprBloom}}, "gpt3-finnish": {cuts: []string{exprBloom}},
	"viking": {cuts: []string{exprBloom, `\p{N}`}},
	"tekken": {cuts: []string{exprTekken}, whole: true},
	"gpt-4o": {cuts: []string{exprGPT4o}},
}

// ggufOther says what the vocabularies are that tokenizer.ggml.model may name
// and that are not read.
var ggufOther = map[string]string{
	"bert": " (WordPiece)", "t5": " (unigram)", "rwkv": " (RWKV's greedy one)", "plamo2": " (PLaMo's)", "none": " (no vocabulary)", "no_vocab": " (no vocabulary)",
}

// byteLevelPart spells bytes as characters, and does nothing else.
const byteLevelPart = `{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":false}`

// part is the pre-tokenizer of tokenizer.json that cuts in this way.
func (g ggufPre) part() map[string]any {
	type dict = map[string]any
	var steps []any
	spelled := false
	bytes := func(regex bool) dict {
		return dict{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": regex}
	}
	for i, expr := range g.cuts {
		switch {
		case expr == preDigits:
			steps = append(steps, dict{"type": "Digits", "individual_digits": true})
		case expr == preGPT2 && i == len(g.cuts)-1:
			steps, spelled = append(steps, bytes(true)), true
		default:
			if expr == preGPT2 {
				expr = patternOf(cutGPT2)
			}
			steps = append(steps, dict{"type": "Split", "pattern": dict{"Regex": expr}, "behavior": "Isolated", "invert": false})
		}
	}
	if !spelled {
		steps = append(steps, bytes(false))
	}
	return dict{"type": "Sequence", "pretokenizers": steps}
}

// ggufPre finds llama.cpp's name for the way in which t cuts text, "" if there
// is none: then, too, when it changes the text before.
func (t *BPE) ggufPre() string {
	names := make([]string, 0, len(ggufPres))
	for name := range ggufPres {
		names = append(names, name)
	}
	// Several names may stand for the same: the first in order is as good.
	sort.Strings(names)
	for _, name := range names {
		raw, err := marshalJSON(ggufPres[name].part())
		if err != nil {
			return ""
		}
		part, err := readPart("pre_tokenizer", raw)
		if err != nil {
			return ""
		}
		p, like := &pipeline{}, &BPE{}
		if p.readPreTokenizer(like, part, 0) != nil {
			return ""
		}
		same := slices.EqualFunc(p.steps, t.hf.steps, func(a, b step) bool { return a.key == b.key })
		if same && ggufPres[name].whole == t.hf.ignoreMerges && len(t.hf.normalizers) == 0 {
			return name
		}
	}
	return ""
}
