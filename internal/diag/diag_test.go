package diag

import "testing"

func TestListErr(t *testing.T) {
	var l List
	if err := l.Err(); err != nil {
		t.Fatalf("an empty list is the error %v", err)
	}
	l.Add(Pos{"b", 1, 1}, "last")
	l.Add(Pos{"a", 10, 1}, "dim %d", 7)
	l.Add(Pos{"a", 2, 9}, "one")
	l.Add(Pos{"a", 2, 9}, "two")
	l.Add(Pos{"a", 2, 9}, "one") // a repetition, though not next to the first
	l.Add(Pos{"a", 2, 0}, "no column")
	l.Add(Pos{File: "--set a=b"}, "no line")
	l = append(l, &Error{Msg: "no position", Note: "a note"})
	want := "no position\n\ta note\n--set a=b: no line\na:2: no column\na:2:9: one\na:2:9: two\na:10:1: dim 7\nb:1:1: last"
	if got := l.Err().Error(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if len(l) != 8 || l[0].Msg != "last" {
		t.Error("Err changed the list")
	}
}
