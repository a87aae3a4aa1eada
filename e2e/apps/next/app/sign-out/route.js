import { signOut } from "@workos-inc/authkit-nextjs";

// A form posts here: a link could be prefetched, and sign people out.
export async function POST() {
  await signOut();
}
