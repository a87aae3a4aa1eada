import { createFileRoute } from "@tanstack/react-router";
import { useAuth } from "@workos/authkit-tanstack-react-start/client";

export const Route = createFileRoute("/")({ component: Home });

function Home() {
  const { user, loading, signOut } = useAuth();
  if (loading) return <p>Loading</p>;
  if (!user) {
    return (
      <main>
        <h1>Signed out</h1>
        <a href="/api/auth/sign-in">Sign in</a>
      </main>
    );
  }
  return (
    <main>
      <h1>Hello {user.email}</h1>
      <a href="/account">Account</a>
      <button onClick={() => signOut()}>Sign out</button>
    </main>
  );
}
