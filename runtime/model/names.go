package model

import (
	"strconv"
	"strings"
)

// layerNumber stands for the number of a layer in names of weights and tensors,
// as one of the words between dots: model.layers.N.mlp.up_proj.weight, or
// N.weight. Inside of a word, as in Norm or N2, it is a letter.
const layerNumber = "N"

// InLayers is the name of a weight that each layer has: "attention.wq" becomes
// "layers.N.attention.wq".
func InLayers(name string) string { return "layers." + layerNumber + "." + name }

// PerLayer tells whether a name holds the number of a layer.
func PerLayer(name string) bool {
	for word := range strings.SplitSeq(name, ".") {
		if word == layerNumber {
			return true
		}
	}
	return false
}

// Number puts the number of a layer into a name, in each place that stands for it.
func Number(name string, layer int) string {
	if !PerLayer(name) {
		return name
	}
	words := strings.Split(name, ".")
	for i, word := range words {
		if word == layerNumber {
			words[i] = strconv.Itoa(layer)
		}
	}
	return strings.Join(words, ".")
}

// Collide tells whether names a and b of two weights give some tensor the same
// name when the layers, if they have them, are numbered from 0 to layers-1.
func Collide(a, b string, layers int) bool {
	wa, wb := strings.Split(a, "."), strings.Split(b, ".")
	if len(wa) != len(wb) {
		return false
	}
	// Layer i of a and j of b, -1 until some word of the other says which.
	i, j, same := -1, -1, false
	fix := func(layer *int, word string) bool {
		n, err := strconv.Atoi(word)
		if err != nil || strconv.Itoa(n) != word || n < 0 || n >= layers || *layer >= 0 && *layer != n {
			return false
		}
		*layer = n
		return true
	}
	for k := range wa {
		switch {
		case wa[k] == layerNumber && wb[k] == layerNumber:
			same = true
		case wa[k] == layerNumber:
			if !fix(&i, wb[k]) {
				return false
			}
		case wb[k] == layerNumber:
			if !fix(&j, wa[k]) {
				return false
			}
		case wa[k] != wb[k]:
			return false
		}
	}
	return !same || i < 0 || j < 0 || i == j
}
