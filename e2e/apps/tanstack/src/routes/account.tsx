import { createFileRoute, redirect } from "@tanstack/react-router";
import { getAuth } from "@workos/authkit-tanstack-react-start";

export const Route = createFileRoute("/account")({
  loader: async () => {
    const auth = await getAuth();
    if (!auth.user) throw redirect({ href: "/api/auth/sign-in?returnPathname=/account" });
    return { email: auth.user.email, token: auth.accessToken };
  },
  component: Account,
});

function Account() {
  const { email, token } = Route.useLoaderData();
  return (
    <main>
      <h1>Account of {email}</h1>
      <pre id="token">{token}</pre>
    </main>
  );
}
