// Package demo shows Berth at work, offline: it starts a server, deploys an
// example app five times (dev, three preview branches at once, production)
// with the real commands as child processes, signs a test user in to each
// through the hosted page, presents the tokens to the backends, removes a dead
// branch and says what it saw.
//
// [App] stands for a deployed web app with AuthKit, [Browser] for the person in
// front of it. The names that end in .example exist in the demo only: [Network]
// leads them to this machine, and [Authority] vouches for them.
//
// What is claimed, planned and configured is left to the commands that the demo
// runs; the demo only looks at the outcome from outside, as a reviewer would.
package demo
