import { v } from "convex/values";
import { action, mutation, query } from "./_generated/server";
import { api } from "./_generated/api";

export const listNumbers = query({
  args: { count: v.number() },
  handler: async (ctx, { count }) => {
    const identity = await ctx.auth.getUserIdentity();
    const newest = await ctx.db.query("numbers").order("desc").take(count);
    return {
      viewer: identity?.subject ?? null,
      numbers: newest.reverse().map((row) => row.value),
    };
  },
});

export const addNumber = mutation({
  args: { value: v.number() },
  handler: async (ctx, { value }) => {
    if ((await ctx.auth.getUserIdentity()) === null) {
      throw new Error("sign in to add a number");
    }
    await ctx.db.insert("numbers", { value });
  },
});

// Runs as the caller: the query and the mutation see the same identity.
export const myAction = action({
  args: { value: v.number() },
  handler: async (ctx, { value }): Promise<number> => {
    const { numbers } = await ctx.runQuery(api.myFunctions.listNumbers, { count: 10 });
    const sum = numbers.reduce((total: number, n: number) => total + n, value);
    await ctx.runMutation(api.myFunctions.addNumber, { value: sum });
    return sum;
  },
});
