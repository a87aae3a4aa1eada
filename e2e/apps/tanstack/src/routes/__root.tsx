import { createRootRoute, HeadContent, Outlet, Scripts } from "@tanstack/react-router";
import { AuthKitProvider } from "@workos/authkit-tanstack-react-start/client";

export const Route = createRootRoute({
  head: () => ({ meta: [{ title: "TanStack Start and AuthKit" }] }),
  component: () => (
    <html lang="en">
      <head>
        <HeadContent />
      </head>
      <body>
        <AuthKitProvider>
          <Outlet />
        </AuthKitProvider>
        <Scripts />
      </body>
    </html>
  ),
});
