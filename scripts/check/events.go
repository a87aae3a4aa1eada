package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

const slowest = 10

// event is one line of `go test -json` (see `go doc test2json`).
type event struct {
	Action      string
	Package     string
	ImportPath  string // of build-output and build-fail
	Test        string
	Elapsed     float64 // seconds
	Output      string
	FailedBuild string
}

// result is a test, subtest or (with an empty name) package in progress.
type result struct {
	pkg, name string
	action    string // pass, fail or skip; empty while it runs
	elapsed   float64
	output    strings.Builder
	children  int // subtests, and how many of them failed
	badChild  int
}

// report reads the events of one go test run and prints failures in full, a
// line for each package, skipped tests and the slowest tests. It counts tests
// that have no subtests; a parent counts only when it failed by itself. A
// package that fails without a failed test (build, panic, timeout, TestMain)
// counts as one failure, and so does a run without any test.
func report(events io.Reader, out io.Writer) tally {
	r := reporter{out: out, results: map[string]*result{}, builds: map[string]*strings.Builder{}}
	in := bufio.NewReader(events)
	for {
		line, err := in.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) != nil || e.Action == "" {
				out.Write(line) // a message of go itself
			} else {
				r.take(e)
			}
		}
		if err != nil {
			break
		}
	}
	return r.finish()
}

type reporter struct {
	out     io.Writer
	results map[string]*result // by package and test name
	builds  map[string]*strings.Builder
	done    []*result
	skipped []*result
	total   tally
	packs   int
}

func (r *reporter) at(pkg, name string) *result {
	key := pkg + "\x00" + name
	t := r.results[key]
	if t == nil {
		t = &result{pkg: pkg, name: name}
		r.results[key] = t
		if parent := t.parent(); parent != "" {
			r.at(pkg, parent).children++
		}
	}
	return t
}

// parent returns the name of the test that runs the subtest t, or "".
func (t *result) parent() string {
	if i := strings.LastIndexByte(t.name, '/'); i >= 0 {
		return t.name[:i]
	}
	return ""
}

func (r *reporter) take(e event) {
	switch e.Action {
	case "build-output":
		if r.builds[e.ImportPath] == nil {
			r.builds[e.ImportPath] = new(strings.Builder)
		}
		r.builds[e.ImportPath].WriteString(e.Output)
	case "run":
		r.at(e.Package, e.Test)
	case "output":
		r.at(e.Package, e.Test).output.WriteString(e.Output)
	case "pass", "fail", "skip":
		t := r.at(e.Package, e.Test)
		t.action, t.elapsed = e.Action, e.Elapsed
		if e.Test == "" {
			r.closePackage(t, e.FailedBuild)
		} else {
			r.closeTest(t)
		}
	}
}

func (r *reporter) closeTest(t *result) {
	r.done = append(r.done, t)
	switch t.action {
	case "skip":
		r.skipped = append(r.skipped, t)
	case "fail":
		// All ancestors: the name of a subtest may itself hold a slash.
		for up := t.parent(); up != ""; up = r.at(t.pkg, up).parent() {
			r.at(t.pkg, up).badChild++
		}
		if t.badChild == 0 {
			r.total.failed++
		}
		fmt.Fprintf(r.out, "FAIL %s %s\n%s", t.pkg, t.name, t.output.String())
	case "pass":
		if t.children == 0 {
			r.total.passed++
		}
	}
}

func (r *reporter) closePackage(p *result, failedBuild string) {
	r.packs++
	tests, failed := 0, 0
	for _, t := range r.results {
		if t.pkg != p.pkg || t.name == "" {
			continue
		}
		if t.children == 0 {
			tests++
		}
		switch {
		case t.action == "fail":
			failed++
		case t.action == "" && t.children == 0: // cut off by a panic, an exit or the time limit
			failed++
			r.total.failed++
			fmt.Fprintf(r.out, "FAIL %s %s (did not end)\n%s", t.pkg, t.name, t.output.String())
		}
	}
	if p.action == "fail" {
		if b := r.builds[failedBuild]; b != nil {
			io.WriteString(r.out, b.String())
		}
		io.WriteString(r.out, p.output.String())
		if failed == 0 {
			r.total.failed++
		}
	}
	switch {
	case p.action == "fail":
		fmt.Fprintf(r.out, "FAIL %s %.1fs\n", p.pkg, p.elapsed)
	case tests == 0:
		fmt.Fprintf(r.out, "  -- %s (no tests)\n", p.pkg)
	default:
		fmt.Fprintf(r.out, "  ok %s %d tests %.1fs\n", p.pkg, tests, p.elapsed)
	}
}

func (r *reporter) finish() tally {
	for _, p := range r.results {
		if p.name == "" && p.action == "" {
			fmt.Fprintf(r.out, "FAIL %s (no verdict)\n", p.pkg)
			r.total.failed++
		}
	}
	for _, t := range r.skipped {
		fmt.Fprintf(r.out, "skip %s %s\n%s", t.pkg, t.name, t.output.String())
	}
	if slow := r.slow(); len(slow) > 1 {
		fmt.Fprintln(r.out, "slowest tests:")
		for _, t := range slow {
			fmt.Fprintf(r.out, "%7.2fs %s %s\n", t.elapsed, t.pkg, t.name)
		}
	}
	if r.total.passed == 0 && r.total.failed == 0 {
		fmt.Fprintln(r.out, "FAIL no test ran")
		r.total.failed++
	}
	fmt.Fprintf(r.out, "%d packages, %d tests passed, %d failed, %d skipped\n",
		r.packs, r.total.passed, r.total.failed, len(r.skipped))
	return r.total
}

// slow returns the slowest top-level tests, slowest first.
func (r *reporter) slow() []*result {
	var top []*result
	for _, t := range r.done {
		if t.parent() == "" {
			top = append(top, t)
		}
	}
	slices.SortStableFunc(top, func(a, b *result) int { return cmp.Compare(b.elapsed, a.elapsed) })
	return top[:min(slowest, len(top))]
}
