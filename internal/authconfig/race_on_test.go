//go:build race

package authconfig

// Under the race detector the engine runs some fifty times slower.
const raceDetector = true
