import { withAuth } from "@workos-inc/authkit-nextjs";

export default async function Account() {
  const { user, sessionId, organizationId, accessToken } = await withAuth();
  return (
    <main>
      <h1>Account of {user?.email}</h1>
      <p id="session">{sessionId}</p>
      <p id="organization">{organizationId}</p>
      <pre id="token">{accessToken}</pre>
    </main>
  );
}
