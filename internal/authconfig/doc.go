// Package authconfig reads convex/auth.config: the list of identity providers
// whose tokens a Convex deployment accepts.
//
// [Eval] runs the bundled module as Convex does, with the deployment's
// environment variables and without clock, randomness, network or imports.
// [Parse] checks the JSON of its default export with Convex's rules and texts.
// [Merge] gives the order in which a deployment holds the providers, which
// decides the one that is tried for a token. Whether a token is accepted is
// left to package deployment.
package authconfig
