//go:build !unix

package data

import (
	"errors"
	"os"
)

// Without mmap in the standard library, regions are read piece by piece.
const canMap = false

func mapFile(*os.File, int64) ([]byte, error) { return nil, errors.ErrUnsupported }

func unmapFile([]byte) error { return nil }
