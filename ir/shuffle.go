package ir

func Shuffle(f *Func, seed uint64) {}
