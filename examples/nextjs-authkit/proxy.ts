import { authkitMiddleware } from "@workos-inc/authkit-nextjs";
import type { NextFetchEvent, NextRequest } from "next/server";

// The hosts of this deployment that are registered as redirect URIs. The
// production host is none of a preview's: a code sent there is lost.
const hosts = [
  process.env.VERCEL_ENV === "production" ? process.env.VERCEL_PROJECT_PRODUCTION_URL : undefined,
  process.env.VERCEL_BRANCH_URL,
  process.env.VERCEL_URL,
].filter((host): host is string => Boolean(host));

// The sign-in must come back to the host that the visitor is on, because its
// cookie is there. A host that is not registered gets the first of the list.
function redirectUri(request: NextRequest): string | undefined {
  const asked = request.headers.get("host");
  const host = hosts.find((known) => known === asked) ?? hosts[0];
  return host ? `https://${host}/callback` : process.env.NEXT_PUBLIC_WORKOS_REDIRECT_URI;
}

export default function proxy(request: NextRequest, event: NextFetchEvent) {
  return authkitMiddleware({ redirectUri: redirectUri(request) })(request, event);
}

export const config = {
  matcher: ["/((?!_next/static|_next/image|favicon.ico).*)"],
};
