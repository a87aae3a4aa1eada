// The function that the demo pushes to each backend, written against the
// runtime itself: it needs no package and no bundler.
export const viewer = {
  isConvexFunction: true,
  isQuery: true,
  isPublic: true,
  exportArgs: () => JSON.stringify({ type: "object", value: {} }),
  exportReturns: () => JSON.stringify({ type: "any" }),
  invokeQuery: () => Convex.asyncSyscall("1.0/getUserIdentity", JSON.stringify({ requestId: "" })),
};
