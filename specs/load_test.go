package specs

import (
	"testing"
)

func TestShippedLoad(t *testing.T) {
	for _, name := range Shipped() {
		s, err := Load(name, Options{FS: ShippedFS()})
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		t.Log(s.Name, s.Hash, len(s.JSON), s.Pos("model.block[3].out"), s.Pos("model.dim"), s.Errorf("model.norm_eps", "x"))
	}
	for _, name := range []string{"testdata/parallel.jsonnet", "testdata/qknorm.jsonnet", "testdata/gelu.jsonnet"} {
		s, err := Load(name, Options{})
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		t.Log(s.Name, s.Hash, len(s.JSON), s.Pos("model.block[3].out"), s.Pos("model.dim"), s.Errorf("model.norm_eps", "x"))
	}
}
