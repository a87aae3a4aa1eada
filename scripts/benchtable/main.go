// Command benchtable passes on what `go test -bench` prints and ends with a
// table of the identity side: what a request costs next to the least that it
// could cost. See docs/performance.md.
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
)

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "benchtable:", err)
		os.Exit(1)
	}
}

// row is one benchmark and what it reported, by unit.
type row struct {
	name    string
	metrics map[string]float64
}

// parse reads a line such as "BenchmarkLoad/jwks-2  1  0.9 of_bare  3 p50_ms".
func parse(line string) (row, bool) {
	fields := strings.Fields(line)
	if len(fields) < 4 || !strings.HasPrefix(fields[0], "BenchmarkLoad/") && !strings.HasPrefix(fields[0], "BenchmarkMillion/") {
		return row{}, false
	}
	_, name, _ := strings.Cut(fields[0], "/")
	if i := strings.LastIndexByte(name, '-'); i > 0 {
		name = name[:i] // the number of processors
	}
	r := row{name: name, metrics: map[string]float64{}}
	for i := 2; i+1 < len(fields); i += 2 {
		v, err := strconv.ParseFloat(fields[i], 64)
		if err != nil {
			return row{}, false
		}
		r.metrics[fields[i+1]] = v
	}
	return r, true
}

func run(in io.Reader, out io.Writer) error {
	var rows []row
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if _, err := fmt.Fprintln(out, lines.Text()); err != nil {
			return err
		}
		if r, ok := parse(lines.Text()); ok {
			rows = append(rows, r)
		}
	}
	if err := lines.Err(); err != nil || len(rows) == 0 {
		return err
	}
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\nidentity\tper second\tp50 ms\tp99 ms\tbare per second\tof bare\tquartiles\tof bare, CPU\t")
	cell := func(r row, unit, format string) string {
		v, ok := r.metrics[unit]
		if !ok {
			return ""
		}
		return fmt.Sprintf(format, v)
	}
	for _, r := range rows {
		if opened, ok := r.metrics["opened_MB"]; ok {
			defer fmt.Fprintf(out, "\nmemory of the server, opened on a million users: %.0f MB; at most, during a hundred sign-ins: %.0f MB\n", opened, r.metrics["burst_MB"])
			continue
		}
		spread := ""
		if _, ok := r.metrics["of_bare_low"]; ok {
			spread = cell(r, "of_bare_low", "%.2f") + "–" + cell(r, "of_bare_high", "%.2f")
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", r.name, cell(r, "per_second", "%.0f"), cell(r, "p50_ms", "%.2f"), cell(r, "p99_ms", "%.2f"),
			cell(r, "bare_per_second", "%.0f"), cell(r, "of_bare", "%.2f"), spread, cell(r, "of_bare_cpu", "%.2f"))
	}
	return t.Flush()
}
