// Package layout holds no code, only tests of the shape of the repository: which
// package may import which, what every package must have, what code below the
// command line must not touch, and what no tracked file may hold.
package layout
