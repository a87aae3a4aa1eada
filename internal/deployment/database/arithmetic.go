package database

import (
	"math"
	"math/bits"

	"github.com/berthdev/berth/internal/deployment/value"
)

func zeroLike(v any) any {
	if _, ok := v.(int64); ok {
		return int64(0)
	}
	return math.Copysign(0, -1) // minus zero minus x is minus x for every x
}

// arithmetic computes within one numeric type, as Convex's filters do.
func arithmetic(op string, l, r any) (any, error) {
	switch l := l.(type) {
	case float64:
		if r, ok := r.(float64); ok {
			return floats(op, l, r), nil
		}
	case int64:
		if r, ok := r.(int64); ok {
			if v, ok := integers(op, l, r); ok {
				return v, nil
			}
			return nil, badQuery("%s of %d and %d has no result in 64 bits.", op, l, r)
		}
	}
	return nil, badQuery("%s needs two numbers of one type, got %s and %s.", op, describe(l), describe(r))
}

func describe(v any) string {
	if _, ok := v.(value.Undefined); ok {
		return "undefined"
	}
	return value.Text(v)
}

func floats(op string, l, r float64) float64 {
	switch op {
	case "$add":
		return l + r
	case "$sub":
		return l - r
	case "$mul":
		return l * r
	case "$div":
		return l / r
	}
	return math.Mod(l, r)
}

// integers reports false for what does not fit and for division by zero.
func integers(op string, l, r int64) (int64, bool) {
	switch op {
	case "$add":
		sum := l + r
		return sum, (sum > l) == (r > 0)
	case "$sub":
		diff := l - r
		return diff, (diff < l) == (r > 0)
	case "$mul":
		high, low := bits.Mul64(magnitude(l), magnitude(r))
		limit := uint64(math.MaxInt64)
		if (l < 0) != (r < 0) {
			limit++
		}
		return l * r, high == 0 && low <= limit
	}
	if r == 0 || l == math.MinInt64 && r == -1 {
		return 0, false
	}
	if op == "$div" {
		return l / r, true
	}
	return l % r, true
}

func magnitude(n int64) uint64 {
	if n < 0 {
		return -uint64(n) //nolint:gosec // two's complement
	}
	return uint64(n)
}
