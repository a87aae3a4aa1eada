import { signOut, withAuth } from "@workos-inc/authkit-nextjs";
import { Numbers } from "../components/Numbers";

export default async function Home() {
  const { user } = await withAuth();
  if (!user) {
    // Plain links: a prefetched sign-in would start a flow that nobody asked for.
    return (
      <main>
        <h1>Numbers</h1>
        <a href="/sign-in">Sign in</a> <a href="/sign-up">Sign up</a>
      </main>
    );
  }
  return (
    <main>
      <h1>Numbers</h1>
      <p>Signed in as {user.email}</p>
      {/* A form posts. A link to a sign-out route can be prefetched, and then signs out on hover. */}
      <form
        action={async () => {
          "use server";
          await signOut();
        }}
      >
        <button type="submit">Sign out</button>
      </form>
      <Numbers />
    </main>
  );
}
