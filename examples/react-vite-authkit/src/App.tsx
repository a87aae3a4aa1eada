import { Authenticated, AuthLoading, Unauthenticated, useAction, useMutation, useQuery } from "convex/react";
import { useAuth } from "@workos-inc/authkit-react";
import { api } from "../convex/_generated/api";

export function App() {
  const { user, signIn, signUp, signOut } = useAuth();
  return (
    <main>
      <h1>Numbers</h1>
      <AuthLoading>
        <p>Loading</p>
      </AuthLoading>
      <Unauthenticated>
        <button onClick={() => void signIn()}>Sign in</button>
        <button onClick={() => void signUp()}>Sign up</button>
      </Unauthenticated>
      <Authenticated>
        <p>
          Signed in as {user?.email} <button onClick={() => signOut()}>Sign out</button>
        </p>
        <Numbers />
      </Authenticated>
    </main>
  );
}

function Numbers() {
  const list = useQuery(api.myFunctions.listNumbers, { count: 10 });
  const addNumber = useMutation(api.myFunctions.addNumber);
  const sumUp = useAction(api.myFunctions.myAction);
  if (list === undefined) {
    return <p>Loading</p>;
  }
  return (
    <>
      <p>The backend knows you as {list.viewer ?? "nobody"}.</p>
      <p>{list.numbers.join(", ") || "No numbers yet."}</p>
      <button onClick={() => void addNumber({ value: Math.floor(Math.random() * 10) })}>Add a number</button>
      <button onClick={() => void sumUp({ value: 1 })}>Add the sum</button>
    </>
  );
}
