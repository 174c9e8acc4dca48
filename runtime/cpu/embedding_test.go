package cpu

import "testing"

func TestEmbedding(t *testing.T) {
	for n, s := range [][3]int{{1, 1, 1}, {130, 65, 7}, {20, 300, 50}} {
		rows, dim, vocab := s[0], s[1], s[2]
		onDevices(t, uint64(n), func(t *testing.T, d *Device, m *mem, compare bool) [][]float32 {
			table, y := m.vec(vocab*dim, 1), m.vec(rows*dim, 0)
			ids := make([]int32, rows)
			for i := range ids {
				ids[i] = int32(m.rng.IntN(vocab))
			}
			d.Embedding(y, table, ids, rows, dim, vocab)
			g, g2 := m.vec(vocab*dim, 0), m.vec(vocab*dim, 1)
			want, want2 := make([]float32, vocab*dim), append([]float32(nil), g2...)
			d.EmbeddingGrad(g, ids, y, rows, dim, vocab, Overwrite)
			d.EmbeddingGrad(g2, ids, y, rows, dim, vocab, Accumulate)
			for r, id := range ids {
				equalBits(t, "row", y[r*dim:(r+1)*dim], table[int(id)*dim:(int(id)+1)*dim])
				for i := range dim { // the order of additions is fixed
					want[int(id)*dim+i] += y[r*dim+i]
					want2[int(id)*dim+i] += y[r*dim+i]
				}
			}
			equalBits(t, "gradient", g, want)
			equalBits(t, "accumulated gradient", g2, want2)
			return [][]float32{y, g, g2}
		})
	}
}

func TestEmbeddingBadID(t *testing.T) {
	d := New(1)
	defer d.Close()
	for _, id := range []int32{-1, 3} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("id %d of a vocabulary of 3 passed", id)
				}
			}()
			d.Embedding(make([]float32, 2), make([]float32, 6), []int32{id}, 1, 2, 3)
		}()
	}
}
