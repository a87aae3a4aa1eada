package cli

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDiff(t *testing.T) {
	for _, tc := range []struct{ name, before, after, want string }{
		{"a new file", "", "a\nb\n", "+ a\n+ b\n"},
		{"nothing", "a\n", "a\n", "  …\n"},
		{"one line in the middle", "1\n2\n3\n4\n5\n6\n7\n", "1\n2\n3\nx\n5\n6\n7\n", "  …\n  2\n  3\n- 4\n+ x\n  5\n  6\n  …\n"},
		{"a line at the end", "a\nb\nc\n", "a\nb\nc\nd\n", "  …\n  b\n  c\n+ d\n"},
		{"a missing line feed", "a", "a\nb\n", "  a\n+ b\n"},
		{"other line ends are no change to show", "a\r\nb\r\n", "a\r\nc\r\n", "  a\n- b\n+ c\n"},
	} {
		if diff := cmp.Diff(tc.want, diff(tc.before, tc.after)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
}

func FuzzDiff(f *testing.F) {
	f.Add("a\nb\nc\n", "a\nx\nc\n")
	f.Add("", "a\n")
	f.Add("a\na\nb\n", "b\na\na\n")
	f.Fuzz(func(t *testing.T, before, after string) {
		a, b := lines(before), lines(after)
		var gotA, gotB []string
		for _, l := range changed(a, b) {
			if l[0] != '+' {
				gotA = append(gotA, l[2:])
			}
			if l[0] != '-' {
				gotB = append(gotB, l[2:])
			}
		}
		if strings.Join(gotA, "") != strings.Join(a, "") || strings.Join(gotB, "") != strings.Join(b, "") {
			t.Errorf("changed(%q, %q) does not hold both texts", before, after)
		}
	})
}

func TestEditDistance(t *testing.T) {
	for _, tc := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"port", "port", 0}, {"prt", "port", 1}, {"jsn", "json", 1}, {"prot", "port", 2}, {"", "abc", 3}, {"kitten", "sitting", 3}} {
		if got := editDistance(tc.a, tc.b); got != tc.want {
			t.Errorf("editDistance(%q, %q) = %d, want %d", tc.a, tc.b, got, tc.want)
		}
	}
}
