import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { AuthKitProvider, useAuth } from "@workos-inc/authkit-react";
import { ConvexProviderWithAuthKit } from "@convex-dev/workos";
import { ConvexReactClient } from "convex/react";
import { App } from "./App";

const env = import.meta.env;
const convex = new ConvexReactClient(env.VITE_CONVEX_URL);

// A preview answers on more than one host, and the sign-in must come back to
// the host that the visitor is on. All of them are registered at deploy time.
const redirectUri = env.VITE_WORKOS_REDIRECT_URI || `${window.location.origin}/callback`;

const api = env.VITE_WORKOS_API_HOSTNAME
  ? {
      apiHostname: env.VITE_WORKOS_API_HOSTNAME,
      port: env.VITE_WORKOS_API_PORT ? Number(env.VITE_WORKOS_API_PORT) : undefined,
      https: env.VITE_WORKOS_API_HTTPS !== "false",
    }
  : {};

createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <AuthKitProvider
      clientId={env.VITE_WORKOS_CLIENT_ID}
      redirectUri={redirectUri}
      onRedirectCallback={() => window.history.replaceState({}, "", "/")}
      {...api}
    >
      <ConvexProviderWithAuthKit client={convex} useAuth={useAuth}>
        <App />
      </ConvexProviderWithAuthKit>
    </AuthKitProvider>
  </StrictMode>,
);
