package tokenizer

import "testing"

// Every way of cutting that has a name can be read.
func TestPresRead(t *testing.T) {
	for name, pre := range ggufPres {
		raw, err := marshalJSON(pre.part())
		if err != nil {
			t.Fatal(err)
		}
		part, err := readPart("pre_tokenizer", raw)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := new(pipeline).readPreTokenizer(new(BPE), part, 0); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
