// Package convex holds the wire types and the clients of the two Convex
// protocols that Berth speaks: the control plane ([Control]) and one
// deployment ([Deployment]), as the convex command line 1.48.0 uses them, and
// the grammar of deploy keys ([ParseDeployKey]).
//
// The JSON shapes are exported: a server that stands in for Convex encodes
// what the clients here decode.
package convex
