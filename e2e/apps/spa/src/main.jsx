// A small app with @workos-inc/authkit-react. Its settings come from
// /settings.json, so that one build serves every test.
import { AuthKitProvider, useAuth } from "@workos-inc/authkit-react";
import { StrictMode, useState } from "react";
import { createRoot } from "react-dom/client";

function App() {
  const { isLoading, user, organizationId, signIn, signUp, signOut, getAccessToken, switchToOrganization } = useAuth();
  const [token, setToken] = useState("");
  const [problem, setProblem] = useState("");
  if (isLoading) return <p>Loading</p>;
  if (!user) {
    return (
      <main>
        <h1>Signed out</h1>
        <button onClick={() => signIn()}>Sign in</button>
        <button onClick={() => signUp()}>Sign up</button>
      </main>
    );
  }
  const show = (options) => getAccessToken(options).then(setToken, (err) => setProblem(err.name));
  return (
    <main>
      <h1>Hello {user.email}</h1>
      <p id="organization">{organizationId}</p>
      <button onClick={() => show()}>Show token</button>
      <button onClick={() => show({ forceRefresh: true })}>Refresh token</button>
      <button onClick={() => switchToOrganization({ organizationId: new URLSearchParams(location.search).get("organization") })}>Switch</button>
      <button onClick={() => signOut()}>Sign out</button>
      <button onClick={() => signOut({ navigate: false })}>Sign out here</button>
      <pre id="token">{token}</pre>
      <p id="problem">{problem}</p>
    </main>
  );
}

const settings = await (await fetch("/settings.json")).json();

createRoot(document.getElementById("root")).render(
  <StrictMode>
    <AuthKitProvider {...settings} onRefreshFailure={() => document.body.setAttribute("data-refresh-failed", "yes")}>
      <App />
    </AuthKitProvider>
  </StrictMode>,
);
