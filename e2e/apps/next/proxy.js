import { authkitMiddleware } from "@workos-inc/authkit-nextjs";

// Everything but the start page needs a session.
export default authkitMiddleware({
  middlewareAuth: { enabled: true, unauthenticatedPaths: ["/", "/sign-in", "/sign-up"] },
});

export const config = { matcher: ["/((?!_next/static|_next/image|favicon.ico).*)"] };
