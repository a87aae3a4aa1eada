import { AuthKitProvider } from "@workos-inc/authkit-nextjs/components";

export const metadata = { title: "Next.js and AuthKit" };

export default function Layout({ children }) {
  return (
    <html lang="en">
      <body>
        <AuthKitProvider>{children}</AuthKitProvider>
      </body>
    </html>
  );
}
