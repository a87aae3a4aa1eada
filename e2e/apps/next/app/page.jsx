import { withAuth } from "@workos-inc/authkit-nextjs";

export default async function Home() {
  const { user } = await withAuth();
  if (!user) {
    return (
      <main>
        <h1>Signed out</h1>
        <a href="/sign-in">Sign in</a> <a href="/sign-up">Sign up</a>
      </main>
    );
  }
  return (
    <main>
      <h1>Hello {user.email}</h1>
      <a href="/account">Account</a>
      <form action="/sign-out" method="post">
        <button type="submit">Sign out</button>
      </form>
    </main>
  );
}
