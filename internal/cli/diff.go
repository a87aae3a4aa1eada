package cli

import "strings"

// around is how many unchanged lines a diff shows on either side of a change.
const around = 2

// diff shows the lines that change between two texts: "+" and "-" lines with a
// little around them, "…" where lines were left out. It is for people.
func diff(before, after string) string {
	a, b := lines(before), lines(after)
	// What is equal at both ends needs no table.
	start := 0
	for start < len(a) && start < len(b) && a[start] == b[start] {
		start++
	}
	end := 0
	for end < len(a)-start && end < len(b)-start && a[len(a)-1-end] == b[len(b)-1-end] {
		end++
	}
	var all []string // every line with its mark
	for _, l := range a[:start] {
		all = append(all, "  "+l)
	}
	all = append(all, changed(a[start:len(a)-end], b[start:len(b)-end])...)
	for _, l := range a[len(a)-end:] {
		all = append(all, "  "+l)
	}
	return strings.Join(near(all), "")
}

// lines splits a text; every line ends in a line feed.
func lines(text string) []string {
	var out []string
	for l := range strings.Lines(text) {
		out = append(out, strings.TrimRight(l, "\r\n")+"\n")
	}
	return out
}

// maxTable bounds the table of changed: beyond it everything between the equal
// ends is shown as replaced.
const maxTable = 4 << 20

// changed marks the lines of a and b by a longest common subsequence.
func changed(a, b []string) []string {
	var out []string
	if len(a)*len(b) > maxTable {
		for _, l := range a {
			out = append(out, "- "+l)
		}
		for _, l := range b {
			out = append(out, "+ "+l)
		}
		return out
	}
	width := len(b) + 1
	common := make([]int32, (len(a)+1)*width) // of a[i:] and b[j:]
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i*width+j] = common[(i+1)*width+j+1] + 1
			} else {
				common[i*width+j] = max(common[(i+1)*width+j], common[i*width+j+1])
			}
		}
	}
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			out = append(out, "  "+a[i])
			i++
			j++
		case i < len(a) && (j == len(b) || common[(i+1)*width+j] >= common[i*width+j+1]):
			out = append(out, "- "+a[i])
			i++
		default:
			out = append(out, "+ "+b[j])
			j++
		}
	}
	return out
}

// near keeps the marked lines and those around them.
func near(all []string) []string {
	keep := make([]bool, len(all))
	for i, l := range all {
		if l[0] == ' ' {
			continue
		}
		for j := max(0, i-around); j <= min(len(all)-1, i+around); j++ {
			keep[j] = true
		}
	}
	var out []string
	for i, l := range all {
		switch {
		case keep[i]:
			out = append(out, l)
		case i == 0 || keep[i-1]:
			out = append(out, "  …\n")
		}
	}
	return out
}
