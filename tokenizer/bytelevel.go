package tokenizer

// Byte-level vocabularies spell bytes as printable characters: those that are
// printable in Latin-1 as themselves, the others as U+0100 and on in order.

var (
	byteRune [256]rune
	runeByte = map[rune]byte{}
)

// Both tables are filled at start: they are what the comment above says, which
// is shorter and surer than 256 characters typed out.
func init() {
	next := rune(0x100)
	for b := range byteRune {
		r := rune(b)
		if !('!' <= r && r <= '~' || 0xA1 <= r && r <= 0xAC || 0xAE <= r && r <= 0xFF) {
			r = next
			next++
		}
		byteRune[b] = r
		runeByte[r] = byte(b)
	}
}

// rawBytes returns the bytes that s spells; ok is false if it holds a character
// that spells none.
func rawBytes(s string) (raw string, ok bool) {
	b := make([]byte, 0, len(s))
	for _, r := range s {
		c, ok := runeByte[r]
		if !ok {
			return "", false
		}
		b = append(b, c)
	}
	return string(b), true
}
