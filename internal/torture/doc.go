// Package torture holds tests and benchmarks of the whole: the real binary as
// child processes, many at once, killed at random points, against a real
// server and against a WorkOS that fails on schedule. It has no code of its
// own. What a single package can show is tested in that package.
//
// TestTorture... runs a few rounds by default and many with BERTH_TORTURE=1
// (make torture). Its rounds follow from a seed, which is logged and can be
// given again with BERTH_SEED.
package torture
