"use client";

import { AuthKitProvider, useAccessToken, useAuth } from "@workos-inc/authkit-nextjs/components";
import { ConvexProviderWithAuth, ConvexReactClient } from "convex/react";
import { type ReactNode, useCallback, useState } from "react";

// AuthKit outside, Convex inside: Convex asks AuthKit for the token.
export function ConvexClientProvider({ children }: { children: ReactNode }) {
  const [convex] = useState(() => new ConvexReactClient(process.env.NEXT_PUBLIC_CONVEX_URL!));
  return (
    <AuthKitProvider>
      <ConvexProviderWithAuth client={convex} useAuth={useConvexAuthFromAuthKit}>
        {children}
      </ConvexProviderWithAuth>
    </AuthKitProvider>
  );
}

function useConvexAuthFromAuthKit() {
  const { user, loading } = useAuth();
  const { getAccessToken, refresh } = useAccessToken();
  const signedIn = Boolean(user);

  const fetchAccessToken = useCallback(
    async ({ forceRefreshToken }: { forceRefreshToken: boolean }) => {
      if (!signedIn) {
        return null;
      }
      try {
        // Convex forces a refresh once, when it has refused a token: the same token again would not help.
        return (await (forceRefreshToken ? refresh() : getAccessToken())) ?? null;
      } catch (error) {
        console.error("no access token:", error);
        return null;
      }
    },
    [signedIn, getAccessToken, refresh],
  );

  return { isLoading: loading, isAuthenticated: signedIn, fetchAccessToken };
}
