package database

import (
	"cmp"
	"slices"
)

// ReadSet is what a transaction read: ranges of indexes.
type ReadSet struct {
	ranges map[indexName][]interval
	count  int
}

// interval is the keys from lo, included, to hi, excluded.
type interval struct{ lo, hi string }

func newReadSet() *ReadSet { return &ReadSet{ranges: map[indexName][]interval{}} }

func (r *ReadSet) add(at indexName, i interval) {
	list := r.ranges[at]
	// Reading row after row makes one range grow.
	if n := len(list); n > 0 && list[n-1].lo <= i.lo && i.lo <= list[n-1].hi {
		list[n-1].hi = max(list[n-1].hi, i.hi)
		return
	}
	r.ranges[at] = append(list, i)
	r.count++
}

// Touched reports whether a commit wrote into what was read.
func (r *ReadSet) Touched(c Commit) bool {
	if c.Everything {
		return true
	}
	for _, t := range c.touched {
		for _, i := range r.ranges[t.index] {
			if i.lo <= t.key && t.key < i.hi {
				return true
			}
		}
	}
	return false
}

// compact sorts and joins the ranges. It is called once a read set is kept for
// longer than its transaction.
func (r *ReadSet) compact() {
	for at, list := range r.ranges {
		slices.SortFunc(list, func(a, b interval) int { return cmp.Compare(a.lo, b.lo) })
		joined := list[:1]
		for _, i := range list[1:] {
			if last := &joined[len(joined)-1]; i.lo <= last.hi {
				last.hi = max(last.hi, i.hi)
			} else {
				joined = append(joined, i)
			}
		}
		r.ranges[at] = joined
	}
}
