"use client";

import { Authenticated, AuthLoading, useAction, useMutation, useQuery } from "convex/react";
import { api } from "../convex/_generated/api";

export function Numbers() {
  return (
    <>
      <AuthLoading>
        <p>Loading</p>
      </AuthLoading>
      <Authenticated>
        <List />
      </Authenticated>
    </>
  );
}

function List() {
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
