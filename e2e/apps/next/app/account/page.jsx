import { switchToOrganization, withAuth } from "@workos-inc/authkit-nextjs";

async function move(form) {
  "use server";
  await switchToOrganization(form.get("organization"), { returnTo: "/account" });
}

export default async function Account() {
  const { user, sessionId, organizationId, accessToken } = await withAuth();
  return (
    <main>
      <h1>Account of {user?.email}</h1>
      <p id="session">{sessionId}</p>
      <p id="organization">{organizationId}</p>
      <pre id="token">{accessToken}</pre>
      <form action={move}>
        <label>
          Organization <input name="organization" />
        </label>
        <button type="submit">Switch</button>
      </form>
    </main>
  );
}
