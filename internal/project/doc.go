// Package project reads and edits an app folder: where convex.json, the Convex
// functions and the web app are, which framework and port the web app has, what
// the authKit section of convex.json asks for, which variables auth.config
// reads, and what .env.local holds.
//
// It talks to no network and writes only through [Apply], from [FileChange]
// values that can be shown first. Every other byte of an edited file stays as it
// is, and the same edit made twice changes nothing the second time.
//
// Evaluating auth.config is left to package authconfig; deciding what an
// environment should look like is left to package plan.
package project
