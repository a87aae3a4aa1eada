// Package deployment is the embedded Convex deployment: which tokens it
// accepts, as whom, and what its variables may be. [Accept] decides about a
// token exactly as Convex does, to the text of each refusal; a refusal's
// Cause keeps what that text hides. Routes, storage and function execution
// are left to others.
package deployment
