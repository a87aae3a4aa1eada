package main

import (
	"strings"
	"testing"
)

func TestTheTableHasWhatTheBenchmarksReported(t *testing.T) {
	const in = `goos: linux
BenchmarkLoad/refresh-RS256-2   1   1660 bare_per_second   0.81 of_bare   0.82 of_bare_cpu   0.9 of_bare_high   0.7 of_bare_low   23.5 p50_ms   54.1 p99_ms   1310 per_second
BenchmarkStart-2   1   33 first_sign_in_ms
BenchmarkMillion/memory-2   1   146 burst_MB   31.9 opened_MB
PASS
`
	var out strings.Builder
	if err := run(strings.NewReader(in), &out); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(out.String(), in) {
		t.Errorf("run = %q, want the input first", out.String())
	}
	table := strings.TrimPrefix(out.String(), in)
	for _, want := range []string{"refresh-RS256", "1310", "23.50", "54.10", "0.70–0.90", "0.82", "32 MB", "146 MB"} {
		if !strings.Contains(table, want) {
			t.Errorf("the table has no %q:\n%s", want, table)
		}
	}
	if strings.Contains(table, "Start") {
		t.Errorf("the table has a benchmark of another side:\n%s", table)
	}
}
